-- What a file of schema 2 lacks, as empty tables: nobody looked into the heap.
CREATE TEMP VIEW heap_snapshot AS
  SELECT NULL AS snapshot, NULL AS boottime_ns, NULL AS took_ns, NULL AS cpu_ns, NULL AS held_ns,
    NULL AS rss, NULL AS layout, NULL AS untested, NULL AS doubts, NULL AS live_blocks,
    NULL AS live_bytes, NULL AS live_resident, NULL AS mmapped_blocks, NULL AS mmapped_bytes,
    NULL AS mmapped_resident, NULL AS cached_blocks, NULL AS cached_bytes,
    NULL AS cached_resident, NULL AS free_blocks, NULL AS free_bytes, NULL AS free_resident,
    NULL AS top_bytes, NULL AS top_resident, NULL AS trimmable, NULL AS stuck,
    NULL AS overhead_bytes, NULL AS heap_resident, NULL AS swapped, NULL AS parsed,
    NULL AS skipped, NULL AS bad_headers, NULL AS reread, NULL AS system_bytes,
    NULL AS walked_bytes, NULL AS mmaps_counted, NULL AS mmaps_found WHERE 0;
CREATE TEMP VIEW heap_arena AS
  SELECT NULL AS snapshot, NULL AS position, NULL AS address, NULL AS main, NULL AS threads,
    NULL AS system_bytes, NULL AS live_blocks, NULL AS live_bytes, NULL AS cached_bytes,
    NULL AS free_bytes, NULL AS resident WHERE 0;
CREATE TEMP VIEW heap_size AS
  SELECT NULL AS snapshot, NULL AS position, NULL AS size, NULL AS live_blocks,
    NULL AS live_bytes, NULL AS free_blocks, NULL AS free_bytes WHERE 0;
CREATE TEMP VIEW heap_class AS
  SELECT NULL AS snapshot, NULL AS position, NULL AS name, NULL AS runtime, NULL AS count,
    NULL AS bytes WHERE 0;
CREATE TEMP VIEW heap_text AS
  SELECT NULL AS text, NULL AS name WHERE 0;
