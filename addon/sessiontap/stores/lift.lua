-- A limit is lifted: its count begins anew.
-- ARGV: prefix, key.
return redis.call('DEL', ARGV[1] .. 'count:' .. ARGV[2])
