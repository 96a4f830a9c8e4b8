//! The pages of a score: which tables stand on them, in which order, and what is said of each.

use crate::answer::{Answer, Window};
use crate::markdown::section;
use crate::options::{Options, What};
use crate::random::Random;
use crate::recorded::{LATE, LENGTHS, WHOLE};
use crate::simulate::{self, Simulated};
use crate::summary::targets::{self, Target};
use crate::summary::view::{Right, View};
use crate::summary::{calibrated, confusion, holdout, kept, known, rates, wrong};
use crate::{Error, Result, ahead, files, live as programs, manifest, recorded as series, today};
use std::fs;
use std::path::Path;

/// Scores the recorded series and the simulated ones; true if no target is missed but known ones.
///
/// Errors: of the corpus, and of writing.
pub(crate) fn recorded(options: &Options) -> Result<bool> {
    let cases = manifest::cases(&options.corpus, &options.only)?;
    let answers = series::answers(&options.corpus, &cases)?;
    let simulated = simulate::run(options.seed);
    let all = View::of(&answers);
    let ahead = ahead::all(&options.corpus, &cases)?;
    let mut targets = targets::recorded(&all);
    targets.extend(targets::simulated(&simulated));
    let mut text = of_recorded(&all);
    text += &section("Forecasts", FORECASTS, &ahead::table(&ahead));
    text += &of_simulated(&simulated);
    text += &of_confidence(&targets::with_late_windows(&all));
    text += &of_holdout(&all, options.seed);
    text += &section(
        "Wrong answers",
        "Over the whole record and in late windows, the worst first; what is only too early is left out.",
        &wrong::table(&all.only(|answer| answer.window == WHOLE || LATE.contains(&answer.window))),
    );
    text += &section(
        "Not the label at 48 s, with looks",
        "All of these may be said; none of them is what really happens.",
        &wrong::not_the_label(&all.over(WHOLE).with_looks()),
    );
    let held = publish(options, "README.md", &targets, &text)?;
    if !options.check {
        files::answers(&options.out.join("answers.csv"), &answers)?;
        files::forecasts(&options.out.join("forecasts.csv"), &ahead)?;
        files::simulated(&options.out.join("simulated.csv"), &simulated)?;
    }
    Ok(held)
}

/// Scores the simulated series alone; true if no target is missed but known ones. Nothing is written.
///
/// Errors: of the list of what is known.
pub(crate) fn simulated(options: &Options) -> Result<bool> {
    let simulated = simulate::run(options.seed);
    let targets = targets::simulated(&simulated);
    let list = known::read(&options.out)?;
    let judged = known::judge(What::Recorded.command(), &targets, &list);
    print!("{}", head(options, &targets, &judged));
    print!("{}", of_simulated(&simulated));
    Ok(judged.is_as_known(true))
}

/// Scores the programs; true if no target is missed but known ones.
///
/// Errors: of the corpus, of running, and of writing.
pub(crate) fn live(options: &Options) -> Result<bool> {
    of_programs(options, &programs::answers(options)?)
}

/// Scores runs of the programs that were kept; true if no target is missed but known ones.
///
/// Errors: of the corpus, of what was kept, and of writing; `Usage` where other runs were asked for.
pub(crate) fn again(folder: &Path, options: &Options) -> Result<bool> {
    let again = programs::again(folder, options)?;
    if ![What::Recorded, again.what].contains(&options.what) {
        return Err(Error::Usage(format!(
            "{}: the runs in {} are those of {}",
            options.what.command(),
            folder.display(),
            again.what.command()
        )));
    }
    let options = Options {
        what: again.what,
        runs_of: Some(again.days),
        ..options.clone()
    };
    of_programs(&options, &again.answers)
}

fn of_programs(options: &Options, answers: &[Answer]) -> Result<bool> {
    let all = View::of(answers);
    let (name, targets) = if options.what == What::Long {
        ("long", targets::long(&all))
    } else {
        ("live", targets::live(&all))
    };
    let views = [
        ("all runs".to_owned(), all.clone()),
        ("programs with a log".to_owned(), all.logged()),
    ];
    let mut text = section(
        "Answers",
        "Rows are labels, columns answers.",
        &format!("{}{}", confusion::table(&all), rates::shares(&views)),
    );
    text += &section("Rates of leaks", SLOPES, &rates::slopes(&views));
    text += &of_confidence(&all);
    text += &section("Wrong answers", "The worst first.", &wrong::table(&all));
    text += &section(
        "Not the label",
        "Acceptable, and not what really happens.",
        &wrong::not_the_label(&all),
    );
    let held = publish(options, &format!("{name}.md"), &targets, &text)?;
    if !options.check {
        files::answers(&options.out.join(format!("{name}.csv")), answers)?;
    }
    Ok(held)
}

/// Prints a page and, unless it is only a check, writes it with the table of targets in README; true if
/// no target is missed but known ones.
fn publish(options: &Options, page: &str, targets: &[Target], body: &str) -> Result<bool> {
    let list = known::read(&options.out)?;
    let judged = known::judge(options.what.command(), targets, &list);
    let head = head(options, targets, &judged);
    if options.check {
        print!("{head}");
    } else {
        print!("{head}{body}");
        files::page(&options.out, page, &format!("{head}{body}"))?;
        let made = kept::Made {
            by: options.what.command(),
            day: today(),
            engine: &options.engine,
        };
        let all = kept::keep(&options.out, &made, targets)?;
        if let Some(path) = &options.readme {
            let text = fs::read_to_string(path).map_err(Error::file("reading", path))?;
            let text = kept::placed(path, &text, &all)?;
            fs::write(path, text).map_err(Error::file("writing", path))?;
        }
    }
    eprint!("{}", judged.aloud());
    Ok(judged.is_as_known(options.what == What::Recorded))
}

const SLOPES: &str = "Of leaks of blocks that keep a log and grew at least 3 % of RSS: the rate that the verdict \
    names against the slope of Theil and Sen of the log's live bytes over the same time, and the 90 % interval \
    that it gives; of open answers, those of the growth of RSS. A record without an interval has none to be judged.";

const FORECASTS: &str = "Records are cut after 24 s, and what is forecast is set against what came: the band beside RSS (nominally \
    90 %), and the range in which a limit is met, on a machine with just so much memory that the record runs out of it by then.";

fn head(options: &Options, targets: &[Target], judged: &known::Judged<'_>) -> String {
    let missed = targets.iter().filter(|target| !target.held).count();
    let runs = (options.runs_of.as_ref()).map_or_else(String::new, |days| {
        format!(" The runs are of {days}, kept and judged again.")
    });
    section(
        "Targets",
        &format!(
            "Made on {} by `{}` with the engine of commit {}.{runs} Shares stand with their 95 % interval (Wilson). \
             Missed: {missed} of {}.",
            today(),
            options.what.command(),
            options.engine,
            targets.len()
        ),
        &format!("{}{}", targets::table(targets), judged.reasons()),
    )
}

fn of_recorded(all: &View<'_>) -> String {
    let whole = all.over(WHOLE);
    let (without, with) = (whole.without_looks(), whole.with_looks());
    let mut text = section(
        "Answers at 48 s, with looks into the heap",
        "Rows are labels, columns answers. Programs without a log (Python, Rust) are judged without looks.",
        &confusion::table(&with),
    );
    text += &section(
        "Answers at 48 s, without looks",
        "What `/proc` alone supports.",
        &confusion::table(&without),
    );
    text += &section(
        "Answers in late windows, with looks",
        "All three of them: 12–36, 16–48 and 24–48 s.",
        &confusion::table(
            &all.with_looks()
                .only(|answer| LATE.contains(&answer.window)),
        ),
    );
    let mut views = vec![
        ("48 s, without looks".to_owned(), without),
        ("48 s, with looks".to_owned(), with.clone()),
        (
            "48 s, with looks, programs with a log".to_owned(),
            with.logged(),
        ),
    ];
    for window in LATE {
        let here = all.over(window);
        let name = format!("{}–{} s", window.from, window.to);
        views.push((format!("{name}, without looks"), here.without_looks()));
        views.push((format!("{name}, with looks"), here.with_looks()));
        views.push((
            format!("{name}, with looks, programs with a log"),
            here.logged(),
        ));
    }
    text += &section(
        "By part of the record",
        "In late windows no growth and plateau may be said of what had ended before.",
        &rates::shares(&views),
    );
    text += &section(
        "By length of record, with looks",
        "Below 20 s only counts are named; `too early` is no answer, and not counted as acceptable.",
        &rates::by_length(&all.with_looks()),
    );
    text += &section(
        "By length of record, without looks",
        "The same.",
        &rates::by_length(&all.without_looks()),
    );
    for to in LENGTHS {
        let here = all.over(Window { from: 0.0, to }).with_looks();
        if to < WHOLE.to {
            views.push((format!("first {to} s, with looks"), here));
        }
    }
    text + &section("Rates of leaks", SLOPES, &rates::slopes(&views))
}

fn of_simulated(simulated: &[Simulated]) -> String {
    section(
        "Simulated series",
        "Nothing of it leaks but the last row. A tail of a logarithm, and a wave of which the record holds little \
         more than one, cannot be told from a leak by anybody; they are here to see how often that is tried.",
        &simulate::table(simulated),
    )
}

fn of_confidence(view: &View<'_>) -> String {
    let body = [Right::Acceptable, Right::Strict].map(|right| calibrated::table(view, right));
    section(
        "Confidence",
        "Of a decided answer its confidence is judged by whether that may be said (first table) or is the label (second); \
         of an open one, by its first candidate.",
        &body.concat(),
    )
}

fn of_holdout(all: &View<'_>, seed: u64) -> String {
    let view = &targets::with_late_windows(all);
    let mut text = section(
        "Hold-out: confidences fitted without the program that they judge",
        "The engine's table of confidences was made on these programs. Fitted anew on all programs but one, and judged \
         on that one, for each of them. Thresholds are not fitted by any program and have no such figure.",
        &holdout::table(view),
    );
    text += "The weights of the engine's own form, fitted to records of 20 to 48 s and late windows:\n\n";
    text += &holdout::weights(&all.with_looks().only(|answer| answer.window.to >= 20.0));
    text += "What the table would be made of:\n\n";
    text += &holdout::bases(view);
    text += "And cut into two halves of programs, a thousand times:\n\n";
    text + &holdout::halves(view, &mut Random::new(seed))
}
