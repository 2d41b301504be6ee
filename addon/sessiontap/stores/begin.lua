-- A call begins: find the calls that it may continue, and take its step.
-- ARGV: prefix, epoch, proxy, now, session, given, name, idle, most calls, takes a step, follows, reserved session,
--       reserved step, ids of sessions that may follow (4), the call, its place among the newest of the proxy, the number
--       of evidence keys, then those, each with its worth (finding.lua); then, if it is counted, when it began, whether it
--       counts, and its thresholds (counting.lua).
-- Returns {"ok", key, id, name, step, calls, what `count` does ('' if it is not counted)}, with step -1 while the store
-- gives none; {"emptied"} if the store is not the one that the proxy knows.
local epoch, proxy, now, key = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local given, name, idle, most = ARGV[6] == '1', ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local takes, follows, reserved, reserved_step = ARGV[10] == '1', ARGV[11] == '1', ARGV[12], tonumber(ARGV[13])
local COUNTED = 21 + 2 * ARGV[20]  -- where in ARGV that begins by which it is counted

local store = redis.call('HMGET', P .. 'store', 'epoch', 'settles_at')
if store[1] ~= epoch then return {'emptied'} end

local calls, followed = find(proxy, 21, COUNTED - 1)
if follows and followed then key = followed end

-- Return the id of a session that begins because the one before it ended.
local function following(key)
  local id
  for number = 14, 17 do
    id = ARGV[number]
    if key ~= ARGV[5] then  -- only the proxy that gave its id could tell what it is made of
      local hex = redis.sha1hex(table.concat({key, now, number}, ' '))
      local third, fourth = '5' .. hex:sub(14, 16), '8' .. hex:sub(18, 20)  -- a UUIDv5, as other sessions have
      id = table.concat({hex:sub(1, 8), hex:sub(9, 12), third, fourth, hex:sub(21, 32)}, '-')
    end
    if redis.call('EXISTS', P .. 'session:' .. id) == 0 then break end
  end
  return id
end

local id = key
if not given then id = redis.call('GET', P .. 'current:' .. key) or key end
local state = redis.call('HMGET', P .. 'session:' .. id, 'name', 'steps', 'last', 'local', 'free')
if state[1] and not given then
  local counted = tonumber(state[2]) + tonumber(state[4] or 0)
  if reserved == id then counted = counted - 1 end
  if (idle and now - tonumber(state[3]) > idle) or (most and counted >= most) then
    id = following(key)
    redis.call('SET', P .. 'current:' .. key, id, 'EX', SESSION_SECONDS)
    state = {}
  end
end
local session = P .. 'session:' .. id
if not state[1] then
  redis.call('HSET', session, 'name', name, 'steps', 0, 'last', now)
  if id ~= key then redis.call('HSET', session, 'key', key) end
  state = {name, 0, now}
end
local step = tonumber(state[2])
if reserved == id then
  step = reserved_step
elseif takes then
  step = is_settled(store[2]) and take_step(session, step, state[5]) or -1
  if reserved ~= '' then release(reserved, reserved_step) end
  if step >= 0 then  -- for a proxy that does not get the answer (lost.lua)
    local asked = P .. 'asked:' .. proxy
    if redis.call('HSET', asked, ARGV[19], ARGV[18] .. ' ' .. step .. ' ' .. id) == 1 then
      redis.call('EXPIRE', asked, SESSION_SECONDS)
    end
  end
end
if now > tonumber(state[3]) then redis.call('HSET', session, 'last', now) end
redis.call('EXPIRE', session, SESSION_SECONDS)
if not given and id ~= key then redis.call('EXPIRE', P .. 'current:' .. key, SESSION_SECONDS) end
local counted = ''
if ARGV[COUNTED] then
  counted = count('begin', tonumber(ARGV[COUNTED]), ARGV[COUNTED + 1] == '1', thresholds(COUNTED + 2, id))
end
return {'ok', key, id, state[1], step, calls, counted}
