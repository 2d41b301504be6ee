-- Begins every script. ARGV[1] is the prefix of all keys. Times are milliseconds.
local P, SESSION_SECONDS = ARGV[1], 2592000

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Return true if the store gives steps: it was not emptied or started anew lately.
local function is_settled(settles_at)
  return not settles_at or clock() >= tonumber(settles_at)
end

-- Take the next step of a session (its key), which has given `steps` so far; `free` are those that were given back.
local function take_step(session, steps, free)
  if free and free ~= '' then
    local all = {}
    for one in string.gmatch(free, '%d+') do all[#all + 1] = tonumber(one) end
    table.sort(all)
    redis.call('HSET', session, 'free', table.concat(all, ' ', 2))
    return all[1]
  end
  redis.call('HINCRBY', session, 'steps', 1)
  return tonumber(steps)
end

-- Give back a step that no call has: the session's next call gets it.
local function release(id, step)
  local session = P .. 'session:' .. id
  local had = redis.call('HMGET', session, 'steps', 'free', 'local')
  if not had[1] then return end
  if tonumber(had[1]) == step + 1 then
    redis.call('HINCRBY', session, 'steps', -1)
    if step == 0 and tonumber(had[3] or 0) == 0 then redis.call('DEL', session) end
  else
    redis.call('HSET', session, 'free', (had[2] or '') .. ' ' .. step)
  end
end

-- A call of a session ended: `idle` counts from here.
local function note_end(id, at)
  local session = P .. 'session:' .. id
  local last = redis.call('HGET', session, 'last')
  if last and tonumber(last) < tonumber(at) then redis.call('HSET', session, 'last', at) end
end

