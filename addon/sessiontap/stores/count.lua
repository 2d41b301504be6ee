-- A call begins or has ended: count it for the alerts and limits of its rules, as limits/tracker.py does in one process.
-- ARGV: prefix, now, 'begin' or 'end', whether it counts, the proxy and the call if it is counted ahead of the answer of
--       begin.lua, which was asked just before ('' if not), then for each threshold 8 values: its key, what it measures,
--       milliseconds of a slice of its window (0: it has none), those of the window, the threshold, 'alert' or 'limit',
--       whether it may refuse, and what the call adds: an amount, 1 or 0, a digest; '' if it is not known, '-' if nothing.
-- Times are milliseconds, and so are durations; costs are billionths of a dollar.
-- Returns {"unforeseen"} if begin.lua found more than the proxy knew: nothing is counted;
--         {"refused", number, value, calls of unknown amount, is first}, or {"counted", then for each alert that was
-- reached: number, value, calls of unknown amount}.
local P, now, phase, counts = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local SLICES, LAST_CALLS, FEWEST_CALLS, SECONDS = 30, 20, 5, 2592000

if ARGV[6] ~= '' and redis.call('HGET', P .. 'ahead', ARGV[5]) ~= ARGV[6] then return {'unforeseen'} end

local readers = {}
for at = 7, #ARGV, 8 do
  readers[#readers + 1] = {
    key = P .. 'count:' .. ARGV[at], measure = ARGV[at + 1], slice = tonumber(ARGV[at + 2]),
    within = tonumber(ARGV[at + 3]), most = tonumber(ARGV[at + 4]), told = 'told:' .. ARGV[at + 4],
    kind = ARGV[at + 5], may_refuse = ARGV[at + 6] == '1', adds = ARGV[at + 7],
  }
end

local function value(one)
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

local function add(one)
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

local function text(number) return string.format('%.17g', number) end

if phase == 'begin' then
  for number, one in ipairs(readers) do
    if one.kind == 'limit' and one.may_refuse then
      local now_is, unknown = value(one)
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

local told = {'counted'}
if not counts then return told end
local added = {}
for _, one in ipairs(readers) do
  if not added[one.key] then
    added[one.key] = true
    add(one)
    redis.call('EXPIRE', one.key, SECONDS)
  end
end
for number, one in ipairs(readers) do
  if one.kind == 'alert' then
    local now_is, unknown = value(one)
    if not now_is or now_is < one.most then
      redis.call('HDEL', one.key, one.told)
    elseif redis.call('HSETNX', one.key, one.told, 1) == 1 then
      told[#told + 1], told[#told + 2], told[#told + 3] = number, text(now_is), unknown
    end
  end
end
return told
