-- Find the calls that a call may continue, behind its back.
-- ARGV: prefix, proxy, then its evidence keys, each with its worth (finding.lua).
return (find(ARGV[2], 3, #ARGV))
