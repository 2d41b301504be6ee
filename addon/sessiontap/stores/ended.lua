-- A call of a session ended that no other call can continue.
-- ARGV: prefix, session, now.
note_end(ARGV[2], ARGV[3])
return 1
