-- A call of a session ended: `idle` counts from here.
-- ARGV: prefix, session, now.
local session = P .. 'session:' .. ARGV[2]
local last = redis.call('HGET', session, 'last')
if last and tonumber(last) < tonumber(ARGV[3]) then redis.call('HSET', session, 'last', ARGV[3]) end
return 1
