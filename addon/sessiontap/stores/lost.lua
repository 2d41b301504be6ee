-- Calls whose proxy did not get the answer of begin.lua, because the connection was lost: the steps that it took, if it
-- ran, are given back.
-- ARGV: prefix, proxy, then the calls.
local asked, lost = P .. 'asked:' .. ARGV[2], {}
for at = 3, #ARGV do lost[ARGV[at]] = true end
local newest = redis.call('HGETALL', asked)
for at = 1, #newest, 2 do
  local call, step, id = string.match(newest[at + 1], '^(%S*) (%d+) (.*)$')
  if lost[call] then
    release(id, tonumber(step))
    redis.call('HDEL', asked, newest[at])
  end
end
return 1
