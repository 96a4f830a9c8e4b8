-- Schema 4 of a memtide recording. Sizes are bytes, times are CLOCK_BOOTTIME nanoseconds.
-- "As of": a row of a series holds from its tick until the series' next row. NULL: not known.
-- Start with the views at the end: select * from samples, classes, mappings, threads, held_points,
-- processes, tree, stacks, frames, stack_points, stack_totals, heap, heap_arenas, heap_sizes, heap_classes, events.

CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- The process, once per program that it ran. `json` holds all; the columns are for people.
CREATE TABLE target (
  target INTEGER PRIMARY KEY, boottime_ns INTEGER, pid INTEGER, start_ticks INTEGER, name TEXT,
  exe TEXT, cmdline TEXT, uid INTEGER, allocator TEXT, runtime TEXT, json TEXT);

CREATE TABLE clock (boottime_ns INTEGER PRIMARY KEY, monotonic_ns INTEGER, wall_ns INTEGER);

CREATE TABLE event (
  event INTEGER PRIMARY KEY, boottime_ns INTEGER, kind TEXT, pid INTEGER, text TEXT, value INTEGER);

CREATE TABLE read_cost (
  kind TEXT PRIMARY KEY, reads INTEGER, skipped INTEGER, failed INTEGER, cpu_ns INTEGER,
  longest_ns INTEGER) WITHOUT ROWID;

-- One row per tick; numbers are given in order and never again. `parts`: what was read at that
-- very tick, 1 smaps, 2 mappings one by one, 4 threads, 16 what is held; 8: nothing but call stacks, no
-- sample.
CREATE TABLE tick (tick INTEGER PRIMARY KEY, boottime_ns INTEGER, parts INTEGER);
-- Ticks that stand for more than themselves, after thinning.
CREATE TABLE merged (tick INTEGER PRIMARY KEY, samples INTEGER, rss_min INTEGER, rss_max INTEGER);

-- Series with one value at a time.
CREATE TABLE memory (
  tick INTEGER PRIMARY KEY, rss INTEGER, size INTEGER, peak_rss INTEGER, peak_size INTEGER,
  rss_anon INTEGER,
  rss_file INTEGER, rss_shmem INTEGER, data INTEGER, page_tables INTEGER, swap INTEGER);
CREATE TABLE layout (
  tick INTEGER PRIMARY KEY, stack INTEGER, text INTEGER, libraries INTEGER,
  locked INTEGER, pinned INTEGER, hugetlb INTEGER);
CREATE TABLE activity (
  tick INTEGER PRIMARY KEY, min_flt INTEGER, maj_flt INTEGER, utime INTEGER, stime INTEGER,
  voluntary_switches INTEGER, involuntary_switches INTEGER);
CREATE TABLE counts (
  tick INTEGER PRIMARY KEY, threads INTEGER, mappings INTEGER, oom_score INTEGER);
CREATE TABLE descriptors (
  tick INTEGER PRIMARY KEY, total INTEGER, file INTEGER, socket INTEGER, pipe INTEGER,
  eventfd INTEGER, epoll INTEGER, anon_inode INTEGER, memfd INTEGER, deleted INTEGER);
CREATE TABLE children (
  tick INTEGER PRIMARY KEY, total INTEGER, zombies INTEGER, stopped INTEGER, blocked INTEGER,
  session_others INTEGER, rss INTEGER);
CREATE TABLE cgroup (
  tick INTEGER PRIMARY KEY, current INTEGER, "limit" INTEGER, high INTEGER, anon INTEGER,
  file INTEGER, shmem INTEGER, kernel INTEGER, oom_kills INTEGER, limit_hits INTEGER,
  swap INTEGER, swap_limit INTEGER);
CREATE TABLE host (
  tick INTEGER PRIMARY KEY, known INTEGER, available INTEGER, committed INTEGER, shmem INTEGER,
  slab_unreclaimable INTEGER, swap_free INTEGER, pressure_some_us INTEGER,
  pressure_full_us INTEGER, slab_reclaimable INTEGER, commit_limit INTEGER, page_cache INTEGER,
  anon INTEGER, kernel INTEGER);
-- Kernel objects that the process made. They are read less often than each tick.
CREATE TABLE queues (
  tick INTEGER PRIMARY KEY, posix INTEGER, system_v INTEGER, segments INTEGER, bytes INTEGER,
  read_boottime_ns INTEGER);
CREATE TABLE maps_total (
  tick INTEGER PRIMARY KEY, pss INTEGER, private_dirty INTEGER, lazy_free INTEGER,
  anon_huge INTEGER, swap INTEGER, rollup_only INTEGER);

-- Series with one value per class of mappings; all classes are written again once a minute.
-- `anonymous` and `largest` are NULL where they are the same as `rss`.
CREATE TABLE class (class INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE class_sample (
  tick INTEGER, class INTEGER, count INTEGER, size INTEGER, rss INTEGER, anonymous INTEGER,
  grown INTEGER, max_growth INTEGER, largest INTEGER, PRIMARY KEY (tick, class)) WITHOUT ROWID;

-- Single mappings. A row of zero size: gone. `since`: the first tick with a row.
CREATE TABLE mapping (
  mapping INTEGER PRIMARY KEY, since INTEGER, address INTEGER, class INTEGER, protection TEXT,
  name TEXT);
CREATE TABLE mapping_sample (
  tick INTEGER, mapping INTEGER, size INTEGER, rss INTEGER,
  PRIMARY KEY (tick, mapping)) WITHOUT ROWID;
-- The mappings that have no row of their own, together.
CREATE TABLE mapping_rest (tick INTEGER PRIMARY KEY, count INTEGER, size INTEGER, rss INTEGER);

-- Single threads. A row of NULLs: ended. `state` is the letter's code, char(state) the letter.
CREATE TABLE thread (
  thread INTEGER PRIMARY KEY, since INTEGER, tid INTEGER, start_ticks INTEGER, name TEXT);
CREATE TABLE thread_sample (
  tick INTEGER, thread INTEGER, min_flt INTEGER, maj_flt INTEGER, cpu_ticks INTEGER,
  state INTEGER, wchan INTEGER, PRIMARY KEY (tick, thread)) WITHOUT ROWID;
CREATE TABLE thread_rest (
  tick INTEGER PRIMARY KEY, count INTEGER, min_flt INTEGER, maj_flt INTEGER, cpu_ticks INTEGER);
CREATE TABLE wchan (wchan INTEGER PRIMARY KEY, name TEXT UNIQUE);

-- Descriptors and kernel objects by what they lead to. A row of count 0: none any more.
CREATE TABLE held (held INTEGER PRIMARY KEY, since INTEGER, kind TEXT, name TEXT, state TEXT);
CREATE TABLE held_sample (
  tick INTEGER, held INTEGER, count INTEGER, PRIMARY KEY (tick, held)) WITHOUT ROWID;
-- The groups that have no row of their own, together.
CREATE TABLE held_rest (tick INTEGER PRIMARY KEY, groups INTEGER, count INTEGER);

-- Processes that descend from the target. A row of NULLs: ended. `parent`: who started it. `status`: the wait
-- status, where it is known. `pss`: of its last read, which is rarer. Sums count the target, too.
CREATE TABLE process (
  process INTEGER PRIMARY KEY, since INTEGER, pid INTEGER, start_ticks INTEGER, parent INTEGER,
  pgid INTEGER, sid INTEGER, name TEXT, cmdline TEXT, status INTEGER);
CREATE TABLE process_sample (
  tick INTEGER, process INTEGER, rss INTEGER, pss INTEGER, state INTEGER, orphaned INTEGER,
  threads INTEGER, cpu_ticks INTEGER, PRIMARY KEY (tick, process)) WITHOUT ROWID;
CREATE TABLE process_total (
  tick INTEGER PRIMARY KEY, processes INTEGER, zombies INTEGER, orphans INTEGER, rss INTEGER,
  pss INTEGER, short_lived INTEGER, lost INTEGER);

-- Call stacks, where the preload shim looked. A place is a return address as its file's own tables
-- count it (without a module: as the process did). The caller of node n is node n - up; none: 0.
CREATE TABLE module (module INTEGER PRIMARY KEY, path TEXT, build_id TEXT);
CREATE TABLE place (place INTEGER PRIMARY KEY, module INTEGER, address INTEGER);
CREATE TABLE node (node INTEGER PRIMARY KEY, up INTEGER, place INTEGER);
-- Each stack with its last counters; `node` is its innermost frame. `kind`: 0 heap, 1 mapping.
-- `owner`: 0 target, 1 others. `ending`: 0 root, 1 truncated, 2 foreign, 3 overflow.
CREATE TABLE stack (
  stack INTEGER PRIMARY KEY, kind INTEGER, owner INTEGER, ending INTEGER, node INTEGER,
  allocs INTEGER, bytes INTEGER, frees INTEGER, freed INTEGER, peak_bytes INTEGER,
  samples INTEGER, freed_samples INTEGER);
CREATE TABLE stack_sample (
  tick INTEGER, stack INTEGER, allocs INTEGER, frees INTEGER, live_bytes INTEGER,
  PRIMARY KEY (tick, stack)) WITHOUT ROWID;
-- The stacks that have no row of their own, together: how many, and their last counters.
CREATE TABLE stack_rest (
  kind INTEGER, owner INTEGER, stacks INTEGER, allocs INTEGER, bytes INTEGER, frees INTEGER,
  freed INTEGER, peak_bytes INTEGER, samples INTEGER, freed_samples INTEGER,
  PRIMARY KEY (kind, owner)) WITHOUT ROWID;
-- Sums over all stacks of the target; `delay_ns`: how long after its tick they were read.
CREATE TABLE stack_total (
  tick INTEGER PRIMARY KEY, delay_ns INTEGER, live_bytes INTEGER, live_blocks INTEGER,
  mapping_bytes INTEGER, peak_bytes INTEGER, allocs INTEGER, allocated_bytes INTEGER);
CREATE TABLE stack_lost (what TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
-- Names of places, innermost first; a row of depth -1: looked up and nothing found.
CREATE TABLE symbol_text (text INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE symbol (
  place INTEGER, depth INTEGER, function INTEGER, file INTEGER, line INTEGER, inlined INTEGER,
  PRIMARY KEY (place, depth)) WITHOUT ROWID;
CREATE TABLE symbol_warning (warning INTEGER PRIMARY KEY, text TEXT);

-- The malloc heap as it was read from outside, a row per look. Bytes are of chunks, headers included;
-- `..._resident`: what of them lay on pages in memory. `doubts`: a JSON list of sentences, NULL where all
-- checks held and a verdict may use the row. `layout`: which layout of malloc's structures fitted.
CREATE TABLE heap_snapshot (
  snapshot INTEGER PRIMARY KEY, boottime_ns INTEGER, took_ns INTEGER, cpu_ns INTEGER,
  held_ns INTEGER, rss INTEGER, layout TEXT, untested INTEGER, doubts TEXT,
  live_blocks INTEGER, live_bytes INTEGER, live_resident INTEGER,
  mmapped_blocks INTEGER, mmapped_bytes INTEGER, mmapped_resident INTEGER,
  cached_blocks INTEGER, cached_bytes INTEGER, cached_resident INTEGER,
  free_blocks INTEGER, free_bytes INTEGER, free_resident INTEGER,
  top_bytes INTEGER, top_resident INTEGER, trimmable INTEGER, stuck INTEGER,
  overhead_bytes INTEGER, heap_resident INTEGER, swapped INTEGER,
  parsed INTEGER, skipped INTEGER, bad_headers INTEGER, reread INTEGER,
  system_bytes INTEGER, walked_bytes INTEGER, mmaps_counted INTEGER, mmaps_found INTEGER);
-- Lists, of the first snapshot, the first after an exec and the newest. Of many arenas the last row is
-- the sum of those that have none (address 0); of sizes and classes those with most bytes have rows.
CREATE TABLE heap_arena (
  snapshot INTEGER, position INTEGER, address INTEGER, main INTEGER, threads INTEGER,
  system_bytes INTEGER, live_blocks INTEGER, live_bytes INTEGER, cached_bytes INTEGER,
  free_bytes INTEGER, resident INTEGER, PRIMARY KEY (snapshot, position)) WITHOUT ROWID;
CREATE TABLE heap_size (
  snapshot INTEGER, position INTEGER, size INTEGER, live_blocks INTEGER, live_bytes INTEGER,
  free_blocks INTEGER, free_bytes INTEGER, PRIMARY KEY (snapshot, position)) WITHOUT ROWID;
CREATE TABLE heap_class (
  snapshot INTEGER, position INTEGER, name INTEGER, runtime TEXT, count INTEGER, bytes INTEGER,
  PRIMARY KEY (snapshot, position)) WITHOUT ROWID;
CREATE TABLE heap_text (text INTEGER PRIMARY KEY, name TEXT UNIQUE);
-- Threads that ended and were never joined, at the moment of a snapshot.
CREATE TABLE ended_threads (
  snapshot INTEGER PRIMARY KEY, count INTEGER, stack_bytes INTEGER, stack_resident INTEGER,
  alive INTEGER);

-- For people.
CREATE VIEW times AS
  SELECT tick, parts,
    (boottime_ns - (SELECT value FROM meta WHERE key = 'started_boottime_ns')) / 1e9 AS seconds,
    strftime('%Y-%m-%d %H:%M:%f', (boottime_ns + (SELECT wall_ns - clock.boottime_ns FROM clock
      WHERE clock.boottime_ns <= tick.boottime_ns ORDER BY clock.boottime_ns DESC LIMIT 1)) / 1e9,
      'unixepoch') AS wall_utc
  FROM tick;

CREATE VIEW samples AS
  SELECT t.tick, t.seconds, t.wall_utc,
    m.rss AS rss_bytes, coalesce(g.rss_min, m.rss) AS rss_min_bytes,
    coalesce(g.rss_max, m.rss) AS rss_max_bytes, coalesce(g.samples, 1) AS merged_samples,
    m.size AS address_space_bytes, m.peak_rss AS peak_rss_bytes, m.rss_anon AS rss_anon_bytes,
    m.rss_file AS rss_file_bytes, m.rss_shmem AS rss_shmem_bytes, m.data AS data_bytes,
    m.page_tables AS page_tables_bytes, m.swap AS swap_bytes,
    m.peak_size AS peak_address_space_bytes, l.stack AS stack_bytes, l.text AS text_bytes,
    l.libraries AS libraries_bytes, l.locked AS locked_bytes, l.pinned AS pinned_bytes,
    l.hugetlb AS hugetlb_bytes,
    a.min_flt AS minor_faults, a.maj_flt AS major_faults, a.utime AS user_ticks,
    a.stime AS system_ticks, a.voluntary_switches, a.involuntary_switches,
    n.threads, n.mappings, n.oom_score, d.total AS descriptors, d.file AS descriptors_file,
    d.socket AS descriptors_socket, d.pipe AS descriptors_pipe, d.eventfd AS descriptors_eventfd,
    d.epoll AS descriptors_epoll, d.anon_inode AS descriptors_anon_inode,
    d.memfd AS descriptors_memfd, d.deleted AS descriptors_deleted,
    k.total AS children, k.zombies, k.stopped AS children_stopped,
    k.blocked AS children_blocked, k.session_others, k.rss AS children_rss_bytes,
    p.pss AS pss_bytes, p.private_dirty AS private_dirty_bytes, p.lazy_free AS lazy_free_bytes,
    p.anon_huge AS anon_huge_bytes, t.parts & 1 AS smaps_read, p.rollup_only,
    c.current AS cgroup_bytes, c."limit" AS cgroup_limit_bytes, c.high AS cgroup_high_bytes,
    c.anon AS cgroup_anon_bytes, c.file AS cgroup_file_bytes, c.shmem AS cgroup_shmem_bytes,
    c.kernel AS cgroup_kernel_bytes, c.oom_kills AS cgroup_oom_kills,
    c.limit_hits AS cgroup_limit_hits, c.swap AS cgroup_swap_bytes,
    c.swap_limit AS cgroup_swap_limit_bytes,
    h.available AS host_available_bytes, h.committed AS host_committed_bytes,
    h.shmem AS host_shmem_bytes, h.slab_unreclaimable AS host_slab_unreclaimable_bytes,
    h.slab_reclaimable AS host_slab_reclaimable_bytes, h.page_cache AS host_page_cache_bytes,
    h.anon AS host_anon_bytes, h.kernel AS host_kernel_bytes,
    h.commit_limit AS host_commit_limit_bytes,
    h.swap_free AS host_swap_free_bytes, h.pressure_some_us AS host_pressure_some_us,
    h.pressure_full_us AS host_pressure_full_us,
    q.posix AS posix_queues, q.system_v AS system_v_queues, q.segments AS system_v_segments,
    q.bytes AS queue_bytes, q.read_boottime_ns AS queues_read_boottime_ns
  FROM times t
  LEFT JOIN merged g ON g.tick = t.tick
  LEFT JOIN memory m ON m.tick = (SELECT max(tick) FROM memory WHERE tick <= t.tick)
  LEFT JOIN layout l ON l.tick = (SELECT max(tick) FROM layout WHERE tick <= t.tick)
  LEFT JOIN activity a ON a.tick = (SELECT max(tick) FROM activity WHERE tick <= t.tick)
  LEFT JOIN counts n ON n.tick = (SELECT max(tick) FROM counts WHERE tick <= t.tick)
  LEFT JOIN descriptors d ON d.tick = (SELECT max(tick) FROM descriptors WHERE tick <= t.tick)
  LEFT JOIN children k ON k.tick = (SELECT max(tick) FROM children WHERE tick <= t.tick)
  LEFT JOIN maps_total p ON p.tick = (SELECT max(tick) FROM maps_total WHERE tick <= t.tick)
  LEFT JOIN cgroup c ON c.tick = (SELECT max(tick) FROM cgroup WHERE tick <= t.tick)
  LEFT JOIN host h ON h.tick = (SELECT max(tick) FROM host WHERE tick <= t.tick)
  LEFT JOIN queues q ON q.tick = (SELECT max(tick) FROM queues WHERE tick <= t.tick)
  WHERE NOT t.parts & 8;

-- One row per tick with smaps and class that was ever in use.
CREATE VIEW classes AS
  SELECT t.tick, t.seconds, c.name AS class, s.count AS mappings, s.size AS size_bytes,
    s.rss AS rss_bytes, coalesce(s.anonymous, s.rss) AS anonymous_bytes, s.grown AS grown_mappings,
    s.max_growth AS max_growth_bytes, coalesce(s.largest, s.rss) AS largest_rss_bytes
  FROM times t JOIN class c
  JOIN class_sample s ON s.class = c.class AND s.tick = (SELECT tick FROM class_sample x
    WHERE x.tick <= t.tick AND x.class = c.class ORDER BY x.tick DESC LIMIT 1)
  WHERE t.parts & 1 AND s.count > 0;

-- Times are of the nearest tick before that thinning left.
CREATE VIEW mappings AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    AS seconds, m.mapping, printf('%x', m.address) AS address, c.name AS class, m.protection,
    m.name, s.size AS size_bytes, s.rss AS rss_bytes, s.size = 0 AS gone
  FROM mapping_sample s JOIN mapping m USING (mapping) JOIN class c USING (class);

CREATE VIEW threads AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    AS seconds, t.tid, t.start_ticks, t.name, char(s.state) AS state, w.name AS wchan,
    s.min_flt AS minor_faults, s.maj_flt AS major_faults, s.cpu_ticks, s.state IS NULL AS ended
  FROM thread_sample s JOIN thread t USING (thread) LEFT JOIN wchan w USING (wchan);

CREATE VIEW held_points AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    AS seconds, h.held, h.kind, h.name, h.state, s.count
  FROM held_sample s JOIN held h USING (held);

CREATE VIEW processes AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    AS seconds, p.pid, p.start_ticks, p.parent, p.pgid, p.sid, p.name, p.cmdline, char(s.state) AS state,
    s.orphaned, s.threads, s.cpu_ticks, s.rss AS rss_bytes, s.pss AS pss_bytes, s.state IS NULL AS ended, p.status
  FROM process_sample s JOIN process p USING (process);

CREATE VIEW tree AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    AS seconds, s.processes, s.zombies, s.orphans, s.rss AS rss_bytes, s.pss AS pss_bytes,
    s.short_lived, s.lost
  FROM process_total s;

-- One row per stack; its frames are in `frames`.
CREATE VIEW stacks AS
  SELECT stack, iif(kind, 'mapping', 'heap') AS kind, iif(owner, 'others', 'target') AS owner,
    CASE ending WHEN 0 THEN 'root' WHEN 1 THEN 'truncated' WHEN 2 THEN 'foreign'
      ELSE 'overflow' END AS ending,
    bytes - freed AS live_bytes, allocs - frees AS live_blocks, peak_bytes, allocs, frees,
    bytes AS allocated_bytes, freed AS freed_bytes, samples, freed_samples
  FROM stack;

-- One row per stack, frame (0: the allocator's caller) and name (more than one: inlined calls).
CREATE VIEW frames AS
  WITH RECURSIVE chain(stack, frame, node) AS (
    SELECT stack, 0, node FROM stack WHERE node > 0
    UNION ALL
    SELECT c.stack, c.frame + 1, c.node - n.up FROM chain c JOIN node n USING (node)
    WHERE n.up BETWEEN 1 AND c.node - 1)
  SELECT c.stack, c.frame, m.path AS module, printf('%x', p.address) AS address,
    f.name AS function, t.name AS file, s.line, s.inlined
  FROM chain c JOIN node n USING (node) JOIN place p USING (place)
  LEFT JOIN module m USING (module)
  LEFT JOIN symbol s ON s.place = p.place AND s.depth >= 0
  LEFT JOIN symbol_text f ON f.text = s.function LEFT JOIN symbol_text t ON t.text = s.file
  ORDER BY c.stack, c.frame, s.depth;

CREATE VIEW stack_points AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    AS seconds, s.stack, s.live_bytes, s.allocs, s.frees
  FROM stack_sample s;

CREATE VIEW stack_totals AS
  SELECT s.tick, (SELECT seconds FROM times WHERE tick <= s.tick ORDER BY tick DESC LIMIT 1)
    + s.delay_ns / 1e9 AS seconds, s.live_bytes, s.live_blocks, s.mapping_bytes, s.peak_bytes,
    s.allocs, s.allocated_bytes
  FROM stack_total s;

-- One row per snapshot: `live`, `cached`, `free`, `top` and `overhead` together are the heap.
CREATE VIEW heap AS
  SELECT snapshot, (boottime_ns - (SELECT value FROM meta WHERE key = 'started_boottime_ns')) / 1e9
    AS seconds, took_ns / 1e9 AS took_seconds, cpu_ns / 1e9 AS cpu_seconds,
    held_ns / 1e9 AS held_seconds, rss AS rss_bytes, heap_resident AS heap_resident_bytes,
    live_resident AS live_resident_bytes,
    max(heap_resident - live_resident, 0) AS retained_resident_bytes,
    live_blocks, live_bytes, mmapped_blocks, mmapped_bytes,
    mmapped_resident AS mmapped_resident_bytes, cached_blocks, cached_bytes,
    cached_resident AS cached_resident_bytes, free_blocks, free_bytes,
    free_resident AS free_resident_bytes, top_bytes, top_resident AS top_resident_bytes,
    trimmable AS trimmable_bytes, stuck AS stuck_bytes, overhead_bytes, swapped AS swapped_bytes,
    parsed AS parsed_bytes, skipped AS skipped_bytes, bad_headers, reread AS reread_headers,
    system_bytes, walked_bytes, mmaps_counted, mmaps_found, layout, untested,
    doubts IS NULL AS conclusive, doubts, e.count AS ended_threads,
    e.stack_bytes AS ended_stack_bytes, e.stack_resident AS ended_stack_resident_bytes,
    e.alive AS living_threads
  FROM heap_snapshot LEFT JOIN ended_threads e USING (snapshot) ORDER BY snapshot;

CREATE VIEW heap_arenas AS
  SELECT a.snapshot, h.seconds, printf('%x', a.address) AS address, a.main, a.threads,
    a.system_bytes, a.live_blocks, a.live_bytes, a.cached_bytes, a.free_bytes,
    a.resident AS resident_bytes
  FROM heap_arena a JOIN heap h USING (snapshot) ORDER BY a.snapshot, a.position;

CREATE VIEW heap_sizes AS
  SELECT s.snapshot, h.seconds, s.size AS size_bytes, s.live_blocks, s.live_bytes, s.free_blocks,
    s.free_bytes
  FROM heap_size s JOIN heap h USING (snapshot) ORDER BY s.snapshot, s.position;

CREATE VIEW heap_classes AS
  SELECT c.snapshot, h.seconds, t.name AS class, c.runtime, c.count AS objects, c.bytes
  FROM heap_class c JOIN heap h USING (snapshot) JOIN heap_text t ON t.text = c.name
  ORDER BY c.snapshot, c.position;

CREATE VIEW events AS
  SELECT (boottime_ns - (SELECT value FROM meta WHERE key = 'started_boottime_ns')) / 1e9
    AS seconds, kind, pid, text, value
  FROM event ORDER BY event;
