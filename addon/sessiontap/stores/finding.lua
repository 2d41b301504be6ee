-- The calls that a call may continue. Stands before begin.lua and look.lua.
local MOST_CALLS, MOST_CHILDREN = 24, 8

-- Find calls by the pairs in ARGV from `first` to `last`: an evidence key and what it is worth, 'certain' (keys behind it
-- are not needed), 'likely', or 'unlikely' (the call's session is another one). Those that `proxy` told of itself, and
-- that only calls of its own continue, it knows.
-- Return the calls: state, session, rank, child, whether it was answered; and the session of the one to be continued.
local function find(proxy, first, last)
  local calls, seen, followed = {}, {}, nil
  local function look(id)
    if seen[id] or #calls >= MOST_CALLS then return false end
    seen[id] = true
    local call = redis.call('HMGET', P .. 'call:' .. id, 'proxy', 'state', 'session', 'rank', 'child', 'answered')
    if not call[1] then return false end
    if call[1] ~= proxy or (call[5] and redis.call('HGET', P .. 'call:' .. call[5], 'proxy') ~= proxy) then
      calls[#calls + 1] = {call[2], call[3] or '', call[4] or '', call[5] or '', call[6] or ''}
    end
    return call
  end
  for at = first, last, 2 do
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
  return calls, followed
end

