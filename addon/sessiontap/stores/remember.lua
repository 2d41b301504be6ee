-- A call as others are told of it: it begins, or its reply has been read.
-- ARGV: prefix, proxy, call, state, session ('' if it is told already), rank, parent that it is the newest to continue,
--       the session of which it is a call that ended ('' if it did not) and when, then the evidence keys that find it.
local proxy, id, parent = ARGV[2], ARGV[3], ARGV[7]
local CALL_SECONDS, MOST_PER_KEY = 86400, 16
local call = P .. 'call:' .. id
redis.call('HSET', call, 'proxy', proxy, 'state', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', call, 'session', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', call, 'rank', ARGV[6]) end
redis.call('EXPIRE', call, CALL_SECONDS)
if parent ~= '' and redis.call('EXISTS', P .. 'call:' .. parent) == 1 then
  local child = redis.call('HGET', P .. 'call:' .. parent, 'child')
  if not child or child < id then redis.call('HSET', P .. 'call:' .. parent, 'child', id) end
end
for at = 10, #ARGV do
  local key = P .. 'key:' .. ARGV[at]
  if not redis.call('LPOS', key, id) then
    if redis.call('RPUSH', key, id) > MOST_PER_KEY then redis.call('LPOP', key) end
  end
  redis.call('EXPIRE', key, CALL_SECONDS)
end
if ARGV[8] ~= '' then note_end(ARGV[8], ARGV[9]) end
return 1
