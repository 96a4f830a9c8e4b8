-- What a file of schema 1 lacks, as empty tables: nobody looked at call stacks.
CREATE TEMP VIEW module AS SELECT NULL AS module, NULL AS path, NULL AS build_id WHERE 0;
CREATE TEMP VIEW place AS SELECT NULL AS place, NULL AS module, NULL AS address WHERE 0;
CREATE TEMP VIEW node AS SELECT NULL AS node, NULL AS up, NULL AS place WHERE 0;
CREATE TEMP VIEW stack AS
  SELECT NULL AS stack, NULL AS kind, NULL AS owner, NULL AS ending, NULL AS node, NULL AS allocs,
    NULL AS bytes, NULL AS frees, NULL AS freed, NULL AS peak_bytes, NULL AS samples,
    NULL AS freed_samples WHERE 0;
CREATE TEMP VIEW stack_sample AS
  SELECT NULL AS tick, NULL AS stack, NULL AS allocs, NULL AS frees, NULL AS live_bytes WHERE 0;
CREATE TEMP VIEW stack_rest AS
  SELECT NULL AS kind, NULL AS owner, NULL AS stacks, NULL AS allocs, NULL AS bytes, NULL AS frees,
    NULL AS freed, NULL AS peak_bytes, NULL AS samples, NULL AS freed_samples WHERE 0;
CREATE TEMP VIEW stack_total AS
  SELECT NULL AS tick, NULL AS delay_ns, NULL AS live_bytes, NULL AS live_blocks,
    NULL AS mapping_bytes, NULL AS peak_bytes, NULL AS allocs, NULL AS allocated_bytes WHERE 0;
CREATE TEMP VIEW stack_lost AS SELECT NULL AS what, NULL AS count WHERE 0;
CREATE TEMP VIEW symbol_text AS SELECT NULL AS text, NULL AS name WHERE 0;
CREATE TEMP VIEW symbol AS
  SELECT NULL AS place, NULL AS depth, NULL AS function, NULL AS file, NULL AS line,
    NULL AS inlined WHERE 0;
CREATE TEMP VIEW symbol_warning AS SELECT NULL AS warning, NULL AS text WHERE 0;
