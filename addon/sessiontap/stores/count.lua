-- A call begins or has ended, behind its back: count it for the alerts and limits of its rules.
-- ARGV: prefix, now, 'begin', 'end' or 'undo' (it began elsewhere), whether it counts, its session, then its thresholds.
-- Returns what `count` does.
return count(ARGV[3], tonumber(ARGV[2]), ARGV[4] == '1', thresholds(6, ARGV[5]))
