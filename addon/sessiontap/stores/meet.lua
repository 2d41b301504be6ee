-- A proxy comes, or looks in now and then. The store has an epoch, which is another one after each start of it: what it
-- knew is then gone, or as old as its copy on a disk or a replica. It gives no steps until all proxies have told it what
-- they know: for `settles` in any case, and for `waits` at most for those that others name.
-- ARGV: prefix, the epoch that the proxy knows ('' if none), its number (0 if none), settles, waits, a new epoch, a key
--       and a last number for a store that has none, 1 if the proxy has a new connection, 1 if it has told what it
--       knows, then the numbers of the proxies that it knows.
-- Returns {epoch, key, number, milliseconds until the store gives steps, numbers of the proxies that have told}.
local known, number, settles, waits = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local has_told, now = ARGV[10] == '1', clock()
local FORGOTTEN = 600000
local store, proxies, awaited = P .. 'store', P .. 'proxies', P .. 'awaited'

local has = redis.call('HMGET', store, 'epoch', 'key', 'start')
local start = has[3]
if ARGV[9] == '1' or not has[1] then
  local info = redis.pcall('INFO', 'server')
  start = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end
if not has[1] then
  redis.call('HSET', store, 'key', ARGV[7], 'last', ARGV[8])
  has[2] = ARGV[7]
end
if not has[1] or start ~= has[3] then
  has[1] = ARGV[6]
  redis.call('HSET', store, 'epoch', has[1], 'start', start, 'begun', now)
  redis.call('DEL', proxies, awaited)
end

if number == 0 then
  number = redis.call('HINCRBY', store, 'last', 1)
elseif number > tonumber(redis.call('HGET', store, 'last')) then
  redis.call('HSET', store, 'last', number)
end
if known ~= '' and known ~= has[1] then
  redis.call('HSET', awaited, number, now + settles)
  for at = 11, #ARGV do
    if redis.call('HEXISTS', proxies, ARGV[at]) == 0 then redis.call('HSETNX', awaited, ARGV[at], now + waits) end
  end
end
if has_told and known == has[1] then
  redis.call('HSET', proxies, number, now)
  redis.call('HDEL', awaited, number)
end

local settles_at = redis.call('HGET', store, 'begun') + settles
for _, till in ipairs(redis.call('HVALS', awaited)) do settles_at = math.max(settles_at, tonumber(till)) end
if settles_at > now then
  redis.call('HSET', store, 'settles_at', settles_at)
else
  redis.call('HDEL', store, 'settles_at')
  redis.call('DEL', awaited)
end

local told, seen = {}, redis.call('HGETALL', proxies)
for at = 1, #seen, 2 do
  if now - tonumber(seen[at + 1]) > FORGOTTEN then
    redis.call('HDEL', proxies, seen[at])
  else
    told[#told + 1] = seen[at]
  end
end
return {has[1], has[2], number, math.max(0, settles_at - now), told}
