-- What a file of schema 3 lacks: the machine in less detail, no swap of the group, and nobody looked at what is held.
CREATE TEMP VIEW cgroup AS SELECT *, NULL AS swap, NULL AS swap_limit FROM main.cgroup;
CREATE TEMP VIEW host AS
  SELECT *, NULL AS slab_reclaimable, NULL AS commit_limit, NULL AS page_cache, NULL AS anon,
    NULL AS kernel FROM main.host;
CREATE TEMP VIEW queues AS
  SELECT NULL AS tick, NULL AS posix, NULL AS system_v, NULL AS segments, NULL AS bytes,
    NULL AS read_boottime_ns WHERE 0;
CREATE TEMP VIEW held AS
  SELECT NULL AS held, NULL AS since, NULL AS kind, NULL AS name, NULL AS state WHERE 0;
CREATE TEMP VIEW held_sample AS SELECT NULL AS tick, NULL AS held, NULL AS count WHERE 0;
CREATE TEMP VIEW process AS
  SELECT NULL AS process, NULL AS since, NULL AS pid, NULL AS start_ticks, NULL AS parent, NULL AS pgid,
    NULL AS sid, NULL AS name,
    NULL AS cmdline, NULL AS status WHERE 0;
CREATE TEMP VIEW process_sample AS
  SELECT NULL AS tick, NULL AS process, NULL AS rss, NULL AS pss, NULL AS state, NULL AS orphaned,
    NULL AS threads, NULL AS cpu_ticks WHERE 0;
CREATE TEMP VIEW process_total AS
  SELECT NULL AS tick, NULL AS processes, NULL AS zombies, NULL AS orphans, NULL AS rss, NULL AS pss,
    NULL AS short_lived, NULL AS lost WHERE 0;
CREATE TEMP VIEW ended_threads AS
  SELECT NULL AS snapshot, NULL AS count, NULL AS stack_bytes, NULL AS stack_resident,
    NULL AS alive WHERE 0;
