-- A call's client has its reply, which is yet to be read.
-- ARGV: prefix, call.
local call = P .. 'call:' .. ARGV[2]
if redis.call('EXISTS', call) == 1 then redis.call('HSET', call, 'answered', 1) end
return 1
