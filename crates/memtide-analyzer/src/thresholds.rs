//! Every number that a decision hangs on, with the reason for it.
//!
//! Measured values come from recordings of the labelled corpus (`fixtures/corpus`) and from
//! simulated series; the tests of this crate repeat both. Nothing here is fitted to a single case.

/// One kibibyte, in bytes.
pub const KIB: f64 = 1024.0;

// --- the record -------------------------------------------------------------------------------

/// Samples that the analysis works on at most: the pairwise statistics cost n², and shapes need no more.
pub const MOST_SAMPLES: usize = 300;
/// Samples with which pairwise slopes are taken at most; the median of 12,720 slopes is as good as that of 45,000.
pub const MOST_PAIRED: usize = 160;
/// Samples below which nothing is said at all: two points always lie on a line.
pub const FEWEST_SAMPLES: usize = 3;
/// Seconds of watching below which growth is "too early". Healthy processes were called leaking in 27, 15,
/// 13 and 10 % of records of 4, 8, 12 and 16 s, and in 6 % of 20 s before the gate (0–3 % with it).
pub const SECONDS_FOR_GROWTH: f64 = 20.0;
/// Samples below which growth is "too early": with fewer the six blocks of the gate hold two samples each.
pub const SAMPLES_FOR_GROWTH: usize = 15;
/// Seconds from which a *count* that rises in all six blocks may be named. Counts have no noise of
/// measurement; what remains is a pool that is still filling, and pools of the corpus fill within 8 s.
pub const SECONDS_FOR_COUNTS: f64 = 12.0;
/// Samples from which a count may be named: two in each of the six blocks.
pub const SAMPLES_FOR_COUNTS: usize = 12;
/// Samples from which a rate is printed: two in each of six blocks.
pub const SAMPLES_FOR_RATE: usize = 12;
/// Start and end of a series are the medians of this part of it: a twelfth is long enough to
/// suppress single outliers and short enough not to eat the growth.
pub const ENDS: usize = 12;
/// Samples that are dropped after a start or an exec: they may still show the loader.
pub const SETTLING_SAMPLES: usize = 2;
/// A process younger than this (seconds) when it was found is still being loaded.
pub const YOUNG_SECONDS: f64 = 2.0;

/// Share of the blocks that the preload shim could not record from which its live bytes are those of
/// another program: what is missing would pass for holes in the heap.
pub const LOST_BLOCKS_SHARE: f64 = 0.05;

// --- what is material -------------------------------------------------------------------------

/// Least movement that a shape is looked for in (bytes): below it allocator and page-cache noise rules.
pub const MATERIAL_BYTES: f64 = 400.0 * KIB;
/// The same as a share of the median RSS.
pub const MATERIAL_SHARE: f64 = 0.015;
/// Least growth that may be called growth without bound (bytes): the gate.
pub const GATE_BYTES: f64 = 700.0 * KIB;
/// The same as a share of the median.
pub const GATE_SHARE: f64 = 0.03;
/// Blocks that a record is cut into for the gate and for intervals. Six rising medians have
/// probability 1/720 in a series without trend and without memory.
pub const BLOCKS: usize = 6;

// --- shapes -----------------------------------------------------------------------------------

/// A fall counts as a reversal from this share of the range on.
pub const REVERSAL_SHARE: f64 = 0.25;
/// ... and from this multiple of what is material.
pub const REVERSAL_MATERIAL: f64 = 0.6;
/// Falls from which a series oscillates: one is a step down.
pub const FALLS: f64 = 2.0;
/// Where there are no three troughs to be had, the lowest values of windows of so many periods stand for them: a little more
/// than one, so that each holds a trough ...
pub const ENVELOPE_PERIODS: f64 = 1.05;
/// ... at least so many windows: of fewer no order can be told ...
pub const ENVELOPE_LEAST: usize = 4;
/// ... and at most so many: each holds enough samples for a lowest one.
pub const ENVELOPE_MOST: usize = 10;
/// Troughs rise where the slope through them brings this multiple of what is material over the record: they are single
/// values, whose record is shorter by up to two periods ...
pub const TROUGHS_MATERIAL: f64 = 0.7;
/// ... and this multiple of their own deviation about that slope.
pub const TROUGHS_DEVIATIONS: f64 = 3.0;
/// Rising troughs are believed from this many troughs on at [`TROUGHS_P`].
pub const TROUGHS_SURE: usize = 6;
/// One-sided p of Kendall's S on the troughs. At .025 the envelope made most of the false alarms on
/// autocorrelated series without trend.
pub const TROUGHS_P: f64 = 0.005;
/// With exactly one trough fewer; five strictly rising troughs have p = 1/120.
pub const FEWER_TROUGHS_P: f64 = 0.02;
/// A sawtooth falls within this share of its period; what falls more slowly fluctuates.
pub const SAWTOOTH_FALL: f64 = 0.25;
/// Falls that make a sawtooth by their number: fewer must be clean (next line), and where troughs rise they are no reason to
/// expect a sawtooth before anything else. A random walk falls back two or three times as well.
pub const TEETH: usize = 4;
/// The path of clean teeth over the straight way through their turning points. A tooth rises and falls without turning
/// round: 1.00 to 1.10 of those of the corpus; its random walks and noise had 1.12 to 1.73, four of five above 1.2.
pub const CLEAN_PATH: f64 = 1.2;
/// Teeth lie above the middle of their height for half of the time, a wave as well. What lies there for less than this
/// share are bursts that are given back.
pub const BURSTS_SHARE: f64 = 0.2;
/// A wave is taken off growth from so many cycles on: three days of a daily load hold a little less than three, and
/// what is nearer to one cannot be told from the growth.
pub const WAVE_CYCLES: f64 = 2.8;
/// ... and up to one cycle in so many samples: with fewer its second harmonic has no form.
pub const WAVE_SAMPLES: usize = 12;
/// Share of the movement about the line that a wave must make (of its squares). Noise with a memory
/// looks like a wave for a few cycles, too: the best of so many periods makes half of it now and then.
pub const WAVE_SHARE: f64 = 0.7;
/// Part of its height by which the series itself must fall back somewhere. Blocks of half a period fail to rise
/// only where a sine of amplitude A has growth below 2.5 A a period, and then falls by .45 of its height.
pub const WAVE_FALL: f64 = 0.25;
/// Growth beside a wave in standard errors. The period is the best of some hundred, and ρ of a short record is
/// too small: normal quantiles do not hold.
pub const WAVE_SURE: f64 = 5.0;
/// Less growth than this multiple of what is material, and of the range (next line), is no rise: ends are medians, which noise
/// of the range of a material movement shifts by a fifth.
pub const RISE_MATERIAL: f64 = 0.8;
/// ... what came and went again: of a wave that the record cuts anywhere the ends differ by that.
pub const RISE_RANGE: f64 = 0.35;
/// Range, in what is material, from which memory that did not rise fluctuates; below it is level.
pub const FLUCTUATING_MATERIAL: f64 = 2.0;
/// Part of the record in which the late slope is taken.
pub const LATE_PART: f64 = 0.4;
/// Where the middle slope begins, as a share of the record; it ends where the late one begins. Before it things start up.
pub const MIDDLE_FROM: f64 = 0.25;
/// Part of the record in which late growth is taken.
pub const LAST_PART: f64 = 0.28;
/// Width of the window for jumps, as a divisor of the number of samples: 4 %.
pub const JUMP_WINDOW: usize = 25;
/// A window of that width is a jump where it rises by more than this share of the largest: steps of one program differ by
/// less than a factor of three.
pub const JUMP_SHARE: f64 = 0.35;
/// Samples that move less than this (bytes) are still: two pages of 4 KiB.
pub const STILL_BYTES: f64 = 8.0 * KIB;
/// Stairs: share of still samples.
pub const STAIRS_STILL: f64 = 0.6;
/// Stairs: largest jump as a share of the growth.
pub const STAIRS_JUMP: f64 = 0.55;
/// Stairs: least number of jumps; below it a wait cannot be compared with the gaps.
pub const STAIRS_JUMPS: usize = 3;
/// Stairs go on from so many jumps on, the last not longer ago than [`STAIRS_DOUBT`] longest gaps: six levels in
/// rising order have p = 1/720, as the six blocks and the troughs of a sawtooth. After four, pools stop as well.
pub const STAIRS_GO_ON: usize = 5;
/// Rises between six blocks that stairs need: one pair of blocks may lie between two steps.
pub const STAIRS_RISES: f64 = 4.0;
/// Stairs have stopped after a wait of so many longest gaps.
pub const STAIRS_STOPPED: f64 = 2.2;
/// Stairs may have stopped after a wait of so many longest gaps. Where three gaps or more are all alike they have: the step that was
/// due did not come, nor half of the time after it.
pub const STAIRS_DOUBT: f64 = 1.6;
/// Gaps are alike where the shortest is at least this share of the longest.
pub const STAIRS_EVEN: f64 = 0.9;
/// Stairs that rise more slowly in the late part: above this ratio of late to mean slope they may go on, up to it they have
/// stopped. One step of three or more in that part brings more.
pub const STAIRS_SLOWING: f64 = 0.3;
/// A step: jumps at most. The window parts a jump that takes longer than itself.
pub const STEP_JUMPS: f64 = 2.0;
/// A step: largest jump as a share of the growth.
pub const STEP_JUMP: f64 = 0.7;
/// A step: growth left for the last part.
pub const STEP_LAST: f64 = 0.15;
/// Plateau: growth left for the last part.
pub const PLATEAU_LAST: f64 = 0.06;
/// Plateau: growth left for the last part when the late slope is small as well.
pub const PLATEAU_LAST_SLOW: f64 = 0.12;
/// Plateau: late slope over mean slope.
pub const PLATEAU_RATIO: f64 = 0.12;
/// Plateau by an exponential fit: time constant as a share of the record ...
pub const PLATEAU_TAU: f64 = 0.4;
/// ... with at most this ratio of late to mean slope.
pub const PLATEAU_TAU_RATIO: f64 = 0.35;
/// Plateau where its end is still ahead: an exponential with at most this time constant as a share of the record. With
/// less than 1.5 time constants an exponential cannot be told from a line under noise; it has gone 78 % of the way then ...
pub const PLATEAU_FITTED_TAU: f64 = 1.0 / 1.5;
/// ... better than a line, a logarithm and a line that ends by this much `AICc` (odds of 150 to 1) ...
pub const PLATEAU_FITTED_AICC: f64 = 10.0;
/// ... and, with a line fitted along, no more than this share of the growth by that line: a leak under a warm-up.
pub const PLATEAU_FITTED_LINE: f64 = 0.1;
/// Fall of a plateau or of stairs on their way, as a share of the growth, from which it is noise that may have stopped: a line brings .28 in
/// the last part, a plateau .06, and what fell by the difference may hide it.
pub const PLATEAU_FALL: f64 = 0.22;
/// Fall as a share of the range from which a rise may be the beginning of a sawtooth: what fell once can fall again.
pub const TOOTH_FALL: f64 = 0.5;
/// Accelerating: late slope over mean slope.
pub const ACCELERATING_RATIO: f64 = 1.35;
/// Accelerating: the middle must not be steeper than this, or it is a bump.
pub const ACCELERATING_MIDDLE: f64 = 1.1;
/// Accelerating growth passes the gate where no block falls by this share of all movement: that much is noise of a block before
/// the growth shows.
pub const ACCELERATING_FALL: f64 = 0.1;
/// Part of the record, its last, that must go on by itself before growth is called growth without bound: what is shorter
/// holds less than 20 s of 33, and has no blocks of its own.
pub const LASTS_PART: f64 = 0.6;
/// Linear: late slope over mean slope.
pub const LINEAR_RATIO: f64 = 0.8;
/// Linear where a straight line is also the best model, or nearly.
pub const LINEAR_RATIO_FITTED: f64 = 0.62;
/// "Nearly": difference of `AICc`.
pub const LINEAR_AICC: f64 = 4.0;

// --- counts -----------------------------------------------------------------------------------

/// Zombies that make a leak of processes.
pub const ZOMBIES: f64 = 4.0;
/// Processes of the session that make a leak of processes.
pub const PROCESSES: f64 = 5.0;
/// Threads.
pub const THREADS: f64 = 5.0;
/// Mappings that are thread stacks.
pub const STACKS: f64 = 3.0;
/// Address space of stacks: three of 8 MiB.
pub const STACK_BYTES: f64 = 24.0 * KIB * KIB;
/// Descriptors.
pub const DESCRIPTORS: f64 = 12.0;
/// Message queues.
pub const QUEUES: f64 = 5.0;
/// System V segments that one process made.
pub const SEGMENTS: f64 = 3.0;
/// Arenas of malloc.
pub const ARENAS: f64 = 4.0;
/// File mappings.
pub const FILE_MAPPINGS: f64 = 8.0;
/// Anonymous mappings.
pub const ANON_MAPPINGS: f64 = 12.0;
/// The last part of the record in which a count must still grow.
pub const SUSTAINED_PART: f64 = 0.3;
/// A count goes on growing when its last 30 % brought this share of its growth.
pub const SUSTAINED_SHARE: f64 = 0.12;
/// ... and its last rise is not longer ago than so many of its median gaps,
pub const SUSTAINED_GAPS: f64 = 4.0;
/// ... or than this share of the record.
pub const SUSTAINED_WAIT: f64 = 0.12;

// --- counters of memory ------------------------------------------------------------------------

/// Shared memory or files are the cause when they carry this share of the growth of RSS.
pub const MAIN_SHARE: f64 = 0.5;
/// Shared memory is a pool of fixed size when its address space grew by less than this share.
pub const FIXED_SIZE_SHARE: f64 = 0.2;
/// Files of its user in tmpfs grow when they grew by so many bytes, in all six blocks.
pub const TMPFS_BYTES: f64 = 16.0 * KIB * KIB;
/// The machine's available memory shrinks when it falls by so many bytes ...
pub const HOST_BYTES: f64 = 64.0 * KIB * KIB;
/// ... and by this share of what was available: of a large machine 64 MiB come and go with anything.
pub const HOST_SHARE: f64 = 0.005;
/// It is none of this process's doing when the process grew by less than this share of the fall.
pub const HOST_OWN_SHARE: f64 = 0.2;
/// Page tables (bytes).
pub const PAGE_TABLE_BYTES: f64 = 400.0 * KIB;
/// Page tables against RSS: tables that serve resident pages are 1/512 of them.
pub const PAGE_TABLE_SHARE: f64 = 0.8;
/// Page tables against address space: with more address space per table it is a reservation.
pub const PAGE_TABLE_SPACE: f64 = 100.0;
/// Huge pages against growth of anonymous memory.
pub const HUGE_SHARE: f64 = 0.6;
/// `LazyFree` against growth of anonymous memory.
pub const LAZY_SHARE: f64 = 0.4;
/// Address space alone: least growth.
pub const VIRTUAL_BYTES: f64 = 64.0 * KIB * KIB;
/// Address space alone: multiple of the growth of RSS.
pub const VIRTUAL_MULTIPLE: f64 = 8.0;
/// Arenas for each thread that was added, above which space of stacks is that of arenas (64 MiB each) and no leak of threads:
/// threads that get an arena of their own nearly all do.
pub const ARENAS_INSTEAD: f64 = 0.6;
/// Arenas for each thread from which what piles up is called arenas: one for every other thread.
pub const ARENAS_WITH_THREADS: f64 = 0.5;
/// Arenas carry the growth from this share on.
pub const ARENA_SHARE: f64 = 0.6;
/// Bloat: no single arena may carry more than this share.
pub const ARENA_TOP_SHARE: f64 = 0.4;
/// One class of mappings carries the growth from this share on.
pub const CLASS_SHARE: f64 = 0.8;
/// A class is looked at alone, under swings of others, where its late slope over its mean slope lies in here: nearly even, for
/// that it grows is to be told against the rest ...
pub const HIDDEN_EVEN: core::ops::Range<f64> = 0.7..1.4;
/// ... no jump of it brought more than this share ...
pub const HIDDEN_JUMP: f64 = 0.45;
/// ... or where it slows down, and grew by more than this share of the median RSS: more than the gate asks.
pub const HIDDEN_SLOWING: f64 = 0.04;
/// First touch: the address space of the class grew by less than this share of its RSS growth.
pub const FIRST_TOUCH_SHARE: f64 = 0.1;

// --- limits ------------------------------------------------------------------------------------

/// A limit is met where less than this share of it is left: less than malloc asks the kernel for at a time, for
/// limits of 64 MiB and less (1 MiB where the heap cannot grow), and no room worth the name for greater ones.
pub const LIMIT_MET_SHARE: f64 = 0.02;

// --- load --------------------------------------------------------------------------------------

/// Least swing of descriptors or threads that counts as load.
pub const LOAD_SWING: f64 = 20.0;
/// Correlation of load with time from which the two cannot be told apart.
pub const LOAD_COLLINEAR: f64 = 0.9;
/// Correlation of memory with load for load alone to be the cause.
pub const LOAD_CORRELATION: f64 = 0.8;
/// Bytes per unit of load below which it is not a cost of the unit.
pub const LOAD_BYTES_PER_UNIT: f64 = 1.5 * KIB;
/// Bytes beside its stack that a thread takes by itself: the first pages of its arena, its cache, what a runtime keeps of
/// it (12 KiB in Python).
pub const THREAD_BYTES: f64 = 64.0 * KIB;
/// Growth at equal load that must be explained otherwise, as a share of the range.
pub const LOAD_REST_SHARE: f64 = 0.12;

/// Of two lines through the same memory the one over x is believed where its residuals are smaller by this factor.
/// Even ramps are alike but for their small steps: a count moves by whole units, what it costs with it.
pub const UNIT_FITS_BETTER: f64 = 2.0;

// --- call stacks -------------------------------------------------------------------------------

/// Stacks that a report lists at most.
pub const MOST_STACKS: usize = 200;
/// Moments at which a stack is looked at, at most: its slope is the median of 2,556 pairs, and 200 of
/// them are taken at every tick of a live line.
pub const MOST_MOMENTS: usize = 72;
/// A stack goes on growing when the second half of the record brought this share of its growth: a line
/// brings a half, an exponential with a time constant of a third of the record a quarter.
pub const GOES_ON_SHARE: f64 = 0.25;
/// Least growth, as a share of the greatest of any stack, with which one that goes on leads those that
/// have stopped: below it a trickle would stand before a cache of two hundred times its growth.
pub const LEADING_SHARE: f64 = 0.005;
/// Share of the growth from which a stack is named in the headline.
pub const NAMED_SHARE: f64 = 0.2;
/// Leak score below which most of the older blocks were freed.
pub const TURNOVER_SCORE: f64 = 0.5;
/// Relative error of sampled live bytes from which it is worth a word.
pub const SAMPLING_ERROR: f64 = 0.1;
/// Growth of live bytes over growth of the heap from which it is a leak. Two looks at the heap gave
/// .97 to 1.02 for leaks (.5 for one with a load wave) and 0 to .01 for fragmentation.
pub const LIVE_SHARE: f64 = 0.6;
/// ... and up to which it is free memory that is kept.
pub const FREE_SHARE: f64 = 0.4;

// --- looks into the heap -----------------------------------------------------------------------

/// Share of the growth that must be live again at its end for survivors to pin what was freed. Of pages that
/// hold 16 blocks each 1 − .9¹⁶ = 81 % keep one of them when a tenth survives; what was freed as a whole had .01.
pub const SURVIVORS_SHARE: f64 = 0.1;
/// Looks must span so much of the growth that is judged: what they did not see must not outweigh it.
pub const LOOKS_SPAN_SHARE: f64 = 0.5;
/// Least share of the growth before and after a look for their causes to be compared: below a fifth a
/// working set that still settles would decide.
pub const LOOKS_PART_SHARE: f64 = 0.2;
/// Looks, each with more live than the one before, from which a leak is named first of what swings too much to tell: without a
/// trend and a memory four are in rising order once in 24 times.
pub const LOOKS_THAT_LEAD: usize = 4;
/// Share of the growth from which a class is named beside it, though it is not most of it: what its objects hold has no type.
pub const NAMED_CLASS_SHARE: f64 = 0.1;
/// Arenas and a class of mappings are the same memory where their growth differs by less than this share of it.
pub const SAME_ARENAS: f64 = 0.5;
/// Share of the growth from which memory that is not malloc's is worth a word: a sample beside a look is
/// off by so much.
pub const NOT_MALLOC_SHARE: f64 = 0.05;
/// Share of the growth of live bytes from which an arena, a size or a class is named: it is most of it.
pub const FOREMOST_SHARE: f64 = 0.5;
/// What a thread touched and an arena grew by are of one size up to this relative difference: besides its arena a thread
/// touches its stack and large blocks, and threads and heaps are read at different moments.
pub const SAME_SIZE_NEAR: f64 = 0.2;
/// ... and clearly of two sizes from this one on.
pub const SAME_SIZE_FAR: f64 = 0.5;
/// Share of the new pages, and of the growth, from which the thread that touched them first is worth a word.
pub const TOUCHED_SHARE: f64 = 0.6;
/// Share of what malloc keeps from which `malloc_trim(0)` is worth calling: it gives back most of it.
pub const TRIM_HELPS_SHARE: f64 = 0.5;
/// Share of RSS that malloc keeps from which it is worth a word though memory is level.
pub const KEPT_SHARE: f64 = 0.5;
/// Least size of what an arena keeps (bytes): what the sampler calls growth of an arena.
pub const ARENA_KEEPS_BYTES: f64 = 128.0 * KIB;
/// Blocks of this size (bytes) and more have mappings of their own, as long as malloc has not raised its
/// threshold by itself (`M_MMAP_THRESHOLD`, `DEFAULT_MMAP_THRESHOLD_MIN` of malloc/malloc.c).
pub const MMAP_THRESHOLD_BYTES: u64 = 128 * 1024;
/// Share of the live bytes of the arenas in such blocks from which the threshold is worth a word.
pub const LARGE_SHARE: f64 = 0.25;
/// Share of the bytes of large blocks that a threshold named by advice takes in.
pub const LARGE_COVERED_SHARE: f64 = 0.9;
/// Share of RSS that no lens can look into from which the runtime's or allocator's own tools are named: it
/// is the greater part then.
pub const OPAQUE_SHARE: f64 = 0.5;

// --- confidence and forecast -------------------------------------------------------------------

/// Log odds that an answer is right with which both shorter records agree, if it was counted, measured, judged by its shape,
/// or left open between candidates (then: the first). Fitted to the corpus and taken down; see `verdict/confidence.rs`.
pub const STANDINGS: [f64; 4] = [5.0, 4.5, 4.0, 2.1];
/// Log odds that each shorter record takes which tells something else.
pub const AGREEMENT_WEIGHT: f64 = 0.8;
/// Samples beyond which more of them tell no more; below, log odds fall with the logarithm of their number.
pub const ENOUGH_SAMPLES: f64 = 150.0;
/// No answer is surer: some hundred cases show no more.
pub const MOST_CONFIDENCE: f64 = 0.99;
/// The shorter records.
pub const SHORTER: [f64; 2] = [0.6, 0.8];
/// Below this a verdict is not given.
pub const LEAST_CONFIDENCE: f64 = 0.6;
/// Share of the wide half width in the interval of a rate: with it the interval covers .99 on white noise and .91 at
/// tau/T = .2 (`statistics/blocks.rs`).
pub const WIDE: f64 = 0.2;
/// Multiple of the record's length beyond which nothing is forecast.
pub const FORECAST_REACH: f64 = 10_000.0;
/// Relative part of a forecast's half width.
pub const FORECAST_SLACK: f64 = 0.02;
/// Absolute part of a forecast's half width (bytes).
pub const FORECAST_SLACK_BYTES: f64 = 64.0 * KIB;
/// Two-sided level of every printed interval is 90 %: one tail holds 5 %.
pub const TAIL: f64 = 0.05;
/// `unexplained` above this share of RSS is warned about.
pub const UNEXPLAINED_SHARE: f64 = 0.02;

// --- comparisons -------------------------------------------------------------------------------

/// Runs of an arm below which nothing is said of it: 3 against 3 cannot reach p < .1, 4 against 4 not p < .02.
pub const FEWEST_RUNS: u64 = 5;
/// Runs of an arm below which a ratio has no interval: a resampled median of two values is one of three numbers.
pub const FEWEST_RUNS_FOR_INTERVAL: usize = 3;
/// Resamples of a bootstrap: the ends of an interval are then known to ±.6 % of its level.
pub const RESAMPLES: u32 = 4_000;
/// Arrangements that a permutation test goes through one by one at most: 9 runs against 9 have 48,620.
pub const MOST_ARRANGEMENTS: f64 = 50_000.0;
/// Arrangements that are drawn where there are more: the error of a p of .02 is .001.
pub const DRAWN_ARRANGEMENTS: u32 = 20_000;
/// Power of the effect that is called detectable: it is shown in four of five comparisons.
pub const POWER: f64 = 0.8;
/// Alpha of a comparison where none was given, or one that is no probability: with six runs of each, seven arms can be
/// compared by memory and growth (21 tests, the least p is .0022).
pub const COMPARISON_ALPHA: f64 = 0.05;
/// Saving of memory below which a change of the allocator is not worth it: less than a new release of the program
/// or of its libraries brings by itself.
pub const LEAST_SAVING: f64 = 0.01;
/// Rates of growth that differ by less than this share are the same: a leak that is a tenth slower is a leak.
pub const SAME_RATE: f64 = 0.1;
/// Growth has stopped where the rate is surely below this share of the baseline's, and its shape has an end.
pub const STOPPED_RATE: f64 = 0.5;
/// Growth was not lost where settling gave back this share of it: a leak gives nothing back.
pub const GIVEN_BACK_SHARE: f64 = 0.5;
/// Median lengths of the arms' work that differ by more than this share are unequal.
pub const UNEQUAL_LENGTH: f64 = 0.2;
/// Stacks that a comparison lists at most.
pub const MOST_DIFFERENCES: usize = 50;

// --- processes of a machine ---------------------------------------------------------------------

/// Seconds for which all threads of a process have to wait in futex before that is called a deadlock. Pools
/// and pauses wait with timeouts of seconds; 10 s without a single wake-up is longer than any of libc's own.
pub const SECONDS_FOR_STUCK: f64 = 10.0;
/// Seconds for which several threads wait together before it is told of all processes: a second is between two jobs.
pub const SECONDS_FOR_STILL: f64 = 5.0;
