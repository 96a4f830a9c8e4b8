//! What is gone, left and new since a snapshot.

use super::{COMMAND, words};
use crate::terminal::Page;
use crate::terminal::style::Tone;
use crate::terminal::table::{Table, long_words, numbers, words as column};
use memtide_model::{Difference, Followed, KernelObject, ProcessRow, text};

/// Rows of each list.
const ROWS: usize = 10;

pub(super) fn section(page: &mut Page, since: &Difference) {
    page.heading(&format!(
        "Since the snapshot, {} before",
        text::duration(since.seconds)
    ));
    if since.other_boot {
        let sentence = "the machine was started again in between: nothing of then is left, and pids that \
                        are the same are other processes";
        page.sentence("", Tone::Plain, sentence);
    }
    let (gone, new) = (since.gone.len(), since.new.len());
    page.sentence(
        "",
        Tone::Plain,
        &format!("processes: {gone} gone, {} left, {new} new", since.left),
    );
    for followed in &since.followed {
        follow(page, followed);
    }
    rows(page, "Gone", &since.gone);
    rows(page, "New", &since.new);
    objects(page, "Gone from the kernel", since.objects_gone.as_deref());
    objects(page, "New in the kernel", since.objects_new.as_deref());
}

/// "1000 zombies: …: 990 gone, 10 left (12, 14-17)".
fn follow(page: &mut Page, followed: &Followed) {
    let left: Vec<u32> = followed.left.iter().map(|id| id.pid.0).collect();
    let (tone, rest) = if left.is_empty() {
        (Tone::Calm, "none left".to_owned())
    } else {
        (
            Tone::Alarm,
            format!("{} left ({})", left.len(), words::ranges(&left)),
        )
    };
    if followed.gone == 0 && left.is_empty() {
        return;
    }
    let line = format!("{}: {} gone, {rest}", followed.summary, followed.gone);
    page.long_sentence("- ", tone, &line);
}

fn rows(page: &mut Page, title: &str, rows: &[ProcessRow]) {
    if rows.is_empty() {
        return;
    }
    page.heading(title);
    let mut table = Table::new(&[
        numbers("pid", 0),
        numbers("parent", 2),
        column("user", 3),
        column("role", 1),
        numbers("memory", 4),
        long_words("command", COMMAND),
    ]);
    for row in rows.iter().take(ROWS) {
        table.row(
            Tone::Plain,
            [
                words::pid(row),
                row.ppid.to_string(),
                words::user(row.user.as_deref(), row.uid),
                row.role.name().to_owned(),
                text::bytes(row.pss_bytes.unwrap_or(row.rss_bytes) as f64),
                words::command(&row.cmdline, &row.name),
            ],
        );
    }
    page.lines(table.lines(page.width(), page.ink()));
    words::rest(page, rows.len(), ROWS);
}

fn objects(page: &mut Page, title: &str, objects: Option<&[KernelObject]>) {
    let Some(objects) = objects.filter(|objects| !objects.is_empty()) else {
        return;
    };
    page.heading(title);
    super::machine::table(page, objects.iter(), ROWS);
    words::rest(page, objects.len(), ROWS);
}
