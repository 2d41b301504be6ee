-- Counts of alerts and limits, as limits/tracker.py has them in one process. Stands before begin.lua and count.lua.
-- Times are milliseconds, and so are durations; costs are billionths of a dollar.
local SLICES, LAST_CALLS, FEWEST_CALLS = 30, 20, 5

-- Return the thresholds in ARGV from `first`, 9 values each: the key of its count, whether the session belongs to that
-- key, what it measures, milliseconds of a slice of its window (0: it has none), those of the window, the threshold,
-- 'alert' or 'limit', whether it may refuse, and what the call adds: an amount, 1 or 0, a digest; '' if it is not known,
-- '-' if nothing.
local function thresholds(first, session)
  local found = {}
  for at = first, #ARGV, 9 do
    found[#found + 1] = {
      key = P .. 'count:' .. ARGV[at] .. (ARGV[at + 1] == '1' and ':' .. session or ''), measure = ARGV[at + 2],
      slice = tonumber(ARGV[at + 3]), within = tonumber(ARGV[at + 4]), most = tonumber(ARGV[at + 5]),
      told = 'told:' .. ARGV[at + 5], kind = ARGV[at + 6], may_refuse = ARGV[at + 7] == '1', adds = ARGV[at + 8],
    }
  end
  return found
end

local function value(one, now)
  if one.measure == 'duration' then
    local first = redis.call('HGET', one.key, 'first')
    return first and math.max(0, now - tonumber(first)) or nil, 0
  elseif one.measure == 'repeats' then
    local found = redis.call('HMGET', one.key, 'asked', 'called')
    return math.max(tonumber(found[1] or 0), tonumber(found[2] or 0)), 0
  elseif one.measure == 'error_rate' then
    local ended, failed = 0, 0
    for at, bad in string.gmatch(redis.call('HGET', one.key, 'ended') or '', '(%d+):(%d)') do
      if one.within == 0 or tonumber(at) > now - one.within then
        ended, failed = ended + 1, failed + tonumber(bad)
      end
    end
    return ended >= FEWEST_CALLS and failed / ended or nil, 0
  elseif one.slice == 0 then
    local found = redis.call('HMGET', one.key, 'sum', 'unknown')
    return found[1] and tonumber(found[1]) or nil, tonumber(found[2] or 0)
  end
  local oldest, sum, unknown = math.floor(now / one.slice) - SLICES, nil, 0
  local fields = redis.call('HGETALL', one.key)
  for at = 1, #fields, 2 do
    local kind, number = string.match(fields[at], '^(%a+):(%d+)$')
    if kind == 'sum' or kind == 'unknown' then
      if tonumber(number) <= oldest then
        redis.call('HDEL', one.key, fields[at])
      elseif kind == 'sum' then
        sum = (sum or 0) + tonumber(fields[at + 1])
      else
        unknown = unknown + tonumber(fields[at + 1])
      end
    end
  end
  return sum, unknown
end

local function in_row(key, what, digest)
  if digest ~= '' and redis.call('HGET', key, what .. '_of') == digest then
    redis.call('HINCRBY', key, what, 1)
  else
    redis.call('HSET', key, what .. '_of', digest, what, digest == '' and 0 or 1)
  end
end

-- A call begins or has ended (`phase`): add it to a count.
local function add(one, now, phase)
  if one.adds == '-' then return end
  if one.measure == 'duration' then
    local first = redis.call('HGET', one.key, 'first')
    if not first or now < tonumber(first) then redis.call('HSET', one.key, 'first', now) end
  elseif one.measure == 'repeats' then
    in_row(one.key, phase == 'begin' and 'asked' or 'called', one.adds)
  elseif one.measure == 'error_rate' then
    local ended = {}
    for each in string.gmatch(redis.call('HGET', one.key, 'ended') or '', '%S+') do ended[#ended + 1] = each end
    ended[#ended + 1] = now .. ':' .. one.adds
    redis.call('HSET', one.key, 'ended', table.concat(ended, ' ', math.max(1, #ended - LAST_CALLS + 1)))
  else
    local slice = one.slice == 0 and '' or ':' .. math.floor(now / one.slice)
    local field, amount = 'sum', one.adds
    if amount == '' then field, amount = 'unknown', 1 end
    redis.call('HINCRBY', one.key, field .. slice, amount)
  end
end

-- Take back what a call added to a count as it began.
local function take_back(one, now)
  if one.adds == '-' then return end
  if one.measure == 'duration' then
    if tonumber(redis.call('HGET', one.key, 'first')) == now then redis.call('HDEL', one.key, 'first') end
  elseif one.measure == 'repeats' then
    if redis.call('HGET', one.key, 'asked_of') == one.adds then redis.call('HINCRBY', one.key, 'asked', -1) end
  else
    local field = one.slice == 0 and 'sum' or 'sum:' .. math.floor(now / one.slice)
    if redis.call('HINCRBY', one.key, field, -one.adds) <= 0 then redis.call('HDEL', one.key, field) end
  end
end

local function text(number) return string.format('%.17g', number) end

-- Return the limit that refuses a call which begins, as an answer; nil if none does.
local function refusal(readers, now)
  for number, one in ipairs(readers) do
    if one.kind == 'limit' and one.may_refuse then
      local now_is, unknown = value(one, now)
      if one.measure == 'repeats' then
        local found = redis.call('HMGET', one.key, 'asked_of', 'asked', 'called')
        local asked = found[1] == one.adds and tonumber(found[2]) or 0
        now_is = math.max(asked, tonumber(found[3] or 0))
      end
      if now_is and now_is >= one.most then
        return {'refused', number, text(now_is), unknown, redis.call('HSETNX', one.key, one.told, 1)}
      end
      redis.call('HDEL', one.key, one.told)
    end
  end
end

-- Count a call that begins or has ended, or take back that it began (`phase` 'undo').
-- Return {"refused", number of the limit, value, calls of unknown amount, is first}, or {"counted", then for each alert
-- that was reached: number, value, calls of unknown amount}.
local function count(phase, now, counts, readers)
  local refused = phase == 'begin' and refusal(readers, now)
  if refused then return refused end
  local told, added = {'counted'}, {}
  if not counts then return told end
  for _, one in ipairs(readers) do
    if not added[one.key] then
      added[one.key] = true
      if phase == 'undo' then take_back(one, now) else add(one, now, phase) end
      redis.call('EXPIRE', one.key, SESSION_SECONDS)
    end
  end
  for number, one in ipairs(readers) do
    if one.kind == 'alert' then
      local now_is, unknown = value(one, now)
      if not now_is or now_is < one.most then
        redis.call('HDEL', one.key, one.told)
      elseif phase ~= 'undo' and redis.call('HSETNX', one.key, one.told, 1) == 1 then
        told[#told + 1], told[#told + 2], told[#told + 3] = number, text(now_is), unknown
      end
    end
  end
  return told
end

