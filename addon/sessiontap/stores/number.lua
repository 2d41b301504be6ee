-- Calls that have local steps, as their proxy tells of them: they get steps of their sessions, in the order in which they
-- began. The store remembers for a day which, so it may be told again.
-- ARGV: prefix, 1 if the steps are to be given now, then for each call: session, the session's name, call.
-- Returns the steps of these calls: none if they are not given yet, or if the store gives none.
local LOCAL_SECONDS = 86400
for at = 3, #ARGV, 3 do
  local session, calls = P .. 'session:' .. ARGV[at], P .. 'local:' .. ARGV[at]
  redis.call('HSETNX', session, 'name', ARGV[at + 1])
  redis.call('HSETNX', session, 'steps', 0)
  redis.call('HSETNX', session, 'last', 0)
  redis.call('HINCRBY', session, 'local', redis.call('HSETNX', calls, ARGV[at + 2], ''))
  redis.call('EXPIRE', session, SESSION_SECONDS)
  redis.call('EXPIRE', calls, LOCAL_SECONDS)
end
if ARGV[2] ~= '1' or not is_settled(redis.call('HGET', P .. 'store', 'settles_at')) then return {} end

local steps = {}
for at = 3, #ARGV, 3 do
  local session, calls = P .. 'session:' .. ARGV[at], P .. 'local:' .. ARGV[at]
  if redis.call('HGET', calls, ARGV[at + 2]) == '' then
    local told, waiting = redis.call('HGETALL', calls), {}
    for one = 1, #told, 2 do
      if told[one + 1] == '' then waiting[#waiting + 1] = told[one] end
    end
    table.sort(waiting)
    for _, call in ipairs(waiting) do
      local has = redis.call('HMGET', session, 'steps', 'free')
      redis.call('HSET', calls, call, take_step(session, has[1], has[2]))
    end
    redis.call('HINCRBY', session, 'local', -#waiting)
  end
  steps[#steps + 1] = tonumber(redis.call('HGET', calls, ARGV[at + 2]))
end
return steps
