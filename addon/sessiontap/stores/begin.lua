-- A call begins: find the calls that it may continue, and take its step.
-- ARGV: prefix, epoch, proxy, now, session, given, name, idle, most calls, takes a step, follows, reserved session,
--       reserved step, ids of sessions that may follow (4), the session that the call is counted in ahead of the answer
--       ('' if it is not) and the call, then pairs of an evidence key and what it is worth:
--       'certain' (keys behind it are not needed), 'likely', or 'unlikely' (the call's session is another one).
-- Returns {"ok", key, id, name, step, calls}, with step -1 while the store gives none; {"ended", key, calls} if the
-- session that it follows has ended; {"emptied"} if the store is not the one that the proxy knows.
local epoch, proxy, now, key = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local given, name, idle, most = ARGV[6] == '1', ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local takes, follows, reserved, reserved_step = ARGV[10] == '1', ARGV[11] == '1', ARGV[12], tonumber(ARGV[13])
local MOST_CALLS, MOST_CHILDREN, AHEAD_SECONDS = 24, 8, 60

local store = redis.call('HMGET', P .. 'store', 'epoch', 'settles_at')
if store[1] ~= epoch then return {'emptied'} end

local calls, seen, followed = {}, {}, nil
local function look(id)
  if seen[id] or #calls >= MOST_CALLS then return false end
  seen[id] = true
  local call = redis.call('HMGET', P .. 'call:' .. id, 'proxy', 'state', 'session', 'rank', 'child')
  if not call[1] then return false end
  if call[1] ~= proxy or call[5] then
    calls[#calls + 1] = {call[2], call[3] or '', call[4] or '', call[5] or ''}
  end
  return call
end
for at = 20, #ARGV, 2 do
  local found, certain = nil, ARGV[at + 1] == 'certain'
  local ids = redis.call('LRANGE', P .. 'key:' .. ARGV[at], 0, -1)
  for i = #ids, 1, -1 do
    local call = look(ids[i])
    if call then found = found or call end
  end
  if found then
    if found[3] and (certain or (ARGV[at + 1] == 'likely' and not followed)) then followed = found[3] end
    local child, left = found[5], MOST_CHILDREN
    while child and left > 0 do
      local next = look(child)
      child, left = next and next[5], left - 1
    end
    if certain then break end
  end
end
if follows and followed then key = followed end

local id = key
if not given then id = redis.call('GET', P .. 'current:' .. key) or key end
local state = redis.call('HMGET', P .. 'session:' .. id, 'name', 'steps', 'last', 'local', 'free')
if state[1] and not given then
  local counted = tonumber(state[2]) + tonumber(state[4] or 0)
  if reserved == id then counted = counted - 1 end
  if (idle and now - tonumber(state[3]) > idle) or (most and counted >= most) then
    if key ~= ARGV[5] then return {'ended', key, calls} end
    for at = 14, 17 do
      id = ARGV[at]
      if redis.call('EXISTS', P .. 'session:' .. id) == 0 then break end
    end
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
end
if now > tonumber(state[3]) then redis.call('HSET', session, 'last', now) end
redis.call('EXPIRE', session, SESSION_SECONDS)
if not given and id ~= key then redis.call('EXPIRE', P .. 'current:' .. key, SESSION_SECONDS) end
if ARGV[18] == id and #calls == 0 then  -- the count that follows holds (count.lua)
  redis.call('HSET', P .. 'ahead', proxy, ARGV[19])
  redis.call('EXPIRE', P .. 'ahead', AHEAD_SECONDS)
end
return {'ok', key, id, state[1], step, calls}
