-- What a proxy knows of sessions that the store may not know.
-- ARGV: prefix, then for each session: id, name, steps, last, key ('' if it is the id).
for at = 2, #ARGV, 5 do
  local id, name, key = ARGV[at], ARGV[at + 1], ARGV[at + 4]
  local steps, last = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local session = P .. 'session:' .. id
  local had = redis.call('HMGET', session, 'name', 'steps', 'last')
  if not had[1] then redis.call('HSET', session, 'name', name) end
  redis.call('HSET', session, 'steps', math.max(steps, tonumber(had[2] or 0)))
  redis.call('HSET', session, 'last', string.format('%.0f', math.max(last, tonumber(had[3] or 0))))
  redis.call('EXPIRE', session, SESSION_SECONDS)
  if key ~= '' then
    redis.call('HSET', session, 'key', key)
    local current = redis.call('GET', P .. 'current:' .. key)
    local other = current and tonumber(redis.call('HGET', P .. 'session:' .. current, 'last') or 0)
    if not other or other <= last then redis.call('SET', P .. 'current:' .. key, id, 'EX', SESSION_SECONDS) end
  end
end
return 1
