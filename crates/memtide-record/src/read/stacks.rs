//! Call stacks: totals, modules, every stack with its last counters and its points, names.

use super::singles::Reading;
use crate::Reader;
use crate::counters::{self, COUNTERS, PLACES, TOTALS, to_place};
use crate::schema::{self, meta};
use memtide_model::{
    Bytes, CallStack, CodeModule, CodePlace, HeapMode, Lost, Nanos, StackEnd, StackHistory,
    StackKind, StackObservations, StackOwner, StackPoint, StackTotals, Symbol,
};
use rusqlite::{Result, Row};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Frames of one stack, and of all, that are given at most: a damaged or made-up file could promise
/// any number. Outer frames beyond are left out.
const DEEPEST: usize = 65_536;
const FRAMES: usize = 1 << 25;

/// What a recording's code is: what names are looked up for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// The files, by [`CodeModuleId`](memtide_model::CodeModuleId).
    pub modules: Vec<CodeModule>,
    /// Every place in a stack, sorted.
    pub places: Vec<CodePlace>,
}

impl Reader {
    /// The places whose names [`store_symbols`](crate::store_symbols) takes, without the stacks
    /// themselves. Empty where no shim looked.
    ///
    /// Errors: `Corrupt`, `Io`.
    pub fn code(&self) -> crate::Result<Code> {
        let read = || {
            let _snapshot = self.file().unchecked_transaction()?;
            let mut places: Vec<CodePlace> = places(self)?.into_values().collect();
            places.sort_unstable();
            Ok(Code {
                modules: modules(self)?,
                places,
            })
        };
        read().map_err(|error: rusqlite::Error| self.error(error))
    }

    /// What the shim was set to; `None` where it did not look.
    pub(super) fn shim(&self) -> Result<Option<Shim<'_>>> {
        let mode: Option<String> = self.fact(meta::HEAP_MODE)?;
        let Some(mode) = mode.as_deref().and_then(HeapMode::from_name) else {
            return Ok(None);
        };
        Ok(Some(Shim {
            reader: self,
            mode,
            interval: Bytes(self.number(meta::HEAP_INTERVAL)?.cast_unsigned()),
            ended: self.number(meta::HEAP_ENDED)? == 1,
        }))
    }
}

/// A recording with stacks.
pub(super) struct Shim<'r> {
    reader: &'r Reader,
    mode: HeapMode,
    interval: Bytes,
    ended: bool,
}

impl Shim<'_> {
    /// All of it; totals as of the ticks `picked`, where they have to be thinned.
    pub(super) fn read(&self, reading: &Reading<'_>, picked: &[i64]) -> Result<StackObservations> {
        let places = places(self.reader)?;
        let mut stacks = self.stacks(reading, &places)?;
        let (rest, left_out) = self.rest()?;
        stacks.extend(rest);
        let mut lost = self.lost()?;
        lost.overflow = lost.overflow.saturating_add(left_out);
        Ok(StackObservations {
            mode: self.mode,
            interval: self.interval,
            totals: self.totals(reading, picked)?,
            modules: modules(self.reader)?,
            stacks,
            symbols: self.symbols(&places)?,
            symbol_warnings: self
                .collect("SELECT text FROM symbol_warning ORDER BY warning", |row| {
                    row.get(0)
                })?,
            lost,
            ended: self.ended,
        })
    }

    fn collect<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        collect(self.reader, sql, read)
    }

    /// The totals of every tick. Where there are more than `limit`, the last at or before each
    /// picked tick, and the last of all in the place of the last.
    fn totals(&self, reading: &Reading<'_>, picked: &[i64]) -> Result<Vec<StackTotals>> {
        let sql = format!("SELECT tick, delay_ns, {TOTALS} FROM stack_total ORDER BY tick");
        let all = self.collect(&sql, |row| {
            let (tick, delay): (i64, i64) = (row.get(0)?, row.get(1)?);
            let at = Nanos(reading.time(tick).0.saturating_add_signed(delay));
            Ok((tick, counters::to_totals(row, 2, at)?))
        })?;
        if all.len() <= reading.limit {
            return Ok(all.into_iter().map(|(_, totals)| totals).collect());
        }
        let last = picked.len().saturating_sub(1);
        let group = |tick: i64| picked.partition_point(|picked| *picked < tick).min(last);
        let groups = all.chunk_by(|a, b| group(a.0) == group(b.0));
        Ok(groups
            .filter_map(|group| group.last().map(|(_, totals)| *totals))
            .collect())
    }

    /// Every stack that has a row, in the order in which they got it.
    fn stacks(
        &self,
        reading: &Reading<'_>,
        places: &HashMap<i64, CodePlace>,
    ) -> Result<Vec<StackHistory>> {
        let nodes = self.nodes(places)?;
        let mut points = points(reading)?;
        let mut room = FRAMES;
        let sql =
            format!("SELECT stack, kind, owner, ending, node, {COUNTERS} FROM stack ORDER BY 1");
        let rows = self.collect(&sql, |row| {
            let number = |column| row.get::<_, i64>(column);
            let (kind, owner) = (schema::kind_of(number(1)?), schema::owner_of(number(2)?));
            let (Some((kind, owner)), Some(end)) = (kind.zip(owner), schema::end_of(number(3)?))
            else {
                return Ok(None);
            };
            let last = counters::to_counters(row, 5)?;
            Ok(Some((number(0)?, kind, owner, end, number(4)?, last)))
        })?;
        let histories = rows.into_iter().flatten();
        Ok(histories
            .map(|(number, kind, owner, end, node, last)| StackHistory {
                stack: CallStack {
                    kind,
                    owner,
                    end,
                    frames: frames(&nodes, node, &mut room),
                },
                last,
                points: points.remove(&number).unwrap_or_default(),
            })
            .collect())
    }

    /// Of each node its caller and its place.
    fn nodes(&self, places: &HashMap<i64, CodePlace>) -> Result<HashMap<i64, (i64, CodePlace)>> {
        let nodes = self.collect("SELECT node, up, place FROM node", |row| {
            let (node, up, place): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            // A caller has the smaller number, so that there is no way round in circles.
            let caller = node.saturating_sub(up.max(1));
            Ok(places.get(&place).map(|place| (node, (caller, *place))))
        })?;
        Ok(nodes.into_iter().flatten().collect())
    }

    /// Those without a row, by kind and owner, and how many they are.
    fn rest(&self) -> Result<(Vec<StackHistory>, u64)> {
        let sql = format!("SELECT kind, owner, stacks, {COUNTERS} FROM stack_rest ORDER BY 1, 2");
        let rows: Vec<(i64, i64, i64, _)> = self.collect(&sql, |row| {
            let last = counters::to_counters(row, 3)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, last))
        })?;
        let mut left_out = 0_u64;
        let mut rest = Vec::new();
        for (kind, owner, stacks, last) in rows {
            let named: Option<(StackKind, StackOwner)> =
                schema::kind_of(kind).zip(schema::owner_of(owner));
            let Some((kind, owner)) = named.filter(|_| stacks > 0) else {
                continue;
            };
            left_out = left_out.saturating_add(stacks.cast_unsigned());
            rest.push(StackHistory {
                stack: CallStack {
                    kind,
                    owner,
                    end: StackEnd::Overflow,
                    frames: Vec::new(),
                },
                last,
                points: Vec::new(),
            });
        }
        Ok((rest, left_out))
    }

    fn lost(&self) -> Result<Lost> {
        let counts: Vec<(String, i64)> = self
            .collect("SELECT what, count FROM stack_lost", |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let counts: HashMap<String, i64> = counts.into_iter().collect();
        let mut lost = Lost::default();
        for (what, count) in counters::lost_rows(&mut lost) {
            *count = counts.get(what).map_or(0, |count| count.cast_unsigned());
        }
        Ok(lost)
    }

    /// Names by place. A place that was looked up in vain has none.
    fn symbols(&self, places: &HashMap<i64, CodePlace>) -> Result<Vec<(CodePlace, Vec<Symbol>)>> {
        let texts: Vec<(i64, String)> = self
            .collect("SELECT text, name FROM symbol_text", |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let texts: HashMap<i64, Arc<str>> = texts
            .into_iter()
            .map(|(number, text)| (number, text.into()))
            .collect();
        let text = |number: Option<i64>| number.and_then(|number| texts.get(&number).cloned());
        let sql = "SELECT place, depth, function, file, line, inlined FROM symbol ORDER BY 1, 2";
        let rows: Vec<(i64, Option<Symbol>)> = self.collect(sql, |row| {
            let symbol = Symbol {
                function: text(row.get(2)?),
                file: text(row.get(3)?),
                line: row.get(4)?,
                inlined: row.get(5)?,
            };
            let found = row.get::<_, i64>(1)? >= 0;
            Ok((row.get(0)?, found.then_some(symbol)))
        })?;
        let mut symbols: BTreeMap<CodePlace, Vec<Symbol>> = BTreeMap::new();
        for (place, symbol) in rows {
            if let Some(place) = places.get(&place) {
                symbols.entry(*place).or_default().extend(symbol);
            }
        }
        Ok(symbols.into_iter().collect())
    }
}

/// The points of every stack that has some, by its row.
fn points(reading: &Reading<'_>) -> Result<HashMap<i64, Vec<StackPoint>>> {
    let reading = Reading {
        histories: usize::MAX,
        ..*reading
    };
    let chosen = reading
        .choose("SELECT tick, stack, live_bytes, 0 FROM stack_sample ORDER BY tick, stack")?;
    let columns = "allocs, frees, live_bytes";
    reading.points(&chosen, "stack_sample", "stack", columns, |at, row| {
        let number = |column| row.get(column).map(i64::cast_unsigned);
        Ok(Some(StackPoint {
            at,
            allocs: number(2)?,
            frees: number(3)?,
            live_bytes: Bytes(number(4)?),
        }))
    })
}

fn collect<T>(reader: &Reader, sql: &str, read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    reader.source.collect(reader.file().prepare(sql), read)
}

/// The files in the order of their numbers; what a damaged file lost of them has no name.
fn modules(reader: &Reader) -> Result<Vec<CodeModule>> {
    let rows: Vec<(u32, CodeModule)> = collect(
        reader,
        "SELECT module, path, build_id FROM module ORDER BY module",
        |row| {
            let module = CodeModule {
                path: row.get::<_, String>(1)?.into(),
                build_id: row.get(2)?,
            };
            Ok((row.get(0)?, module))
        },
    )?;
    let mut modules = Vec::new();
    for (number, module) in rows {
        // Numbers without holes are as many as the rows: nothing larger is believed.
        if u32::try_from(modules.len()) == Ok(number) {
            modules.push(module);
        }
    }
    Ok(modules)
}

/// Places by their rows.
fn places(reader: &Reader) -> Result<HashMap<i64, CodePlace>> {
    let rows = collect(reader, PLACES, to_place)?;
    Ok(rows.into_iter().collect())
}

/// A stack's frames, innermost first.
fn frames(
    nodes: &HashMap<i64, (i64, CodePlace)>,
    innermost: i64,
    room: &mut usize,
) -> Vec<CodePlace> {
    let mut frames = Vec::new();
    let mut node = innermost;
    while let Some((caller, place)) = nodes.get(&node)
        && frames.len() < DEEPEST.min(*room)
    {
        frames.push(*place);
        node = *caller;
    }
    *room -= frames.len();
    frames
}
