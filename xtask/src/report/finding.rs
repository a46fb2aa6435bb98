//! A finding as a learner reads it: did, saw, expected, why, and the lines that decided.

use std::collections::HashMap;
use std::fmt::Write as _;

use labkit::timeline::Event;
use owo_colors::OwoColorize as _;

use super::style::Look;
use super::words;
use super::{CheckReport, Status};

/// A timeline up to this length is shown whole.
const SHORT_TIMELINE: usize = 20;
/// Fewer than this are not left out.
const SMALL_GAP: usize = 3;
/// What is shown before and after a line that a check points at.
const CONTEXT: usize = 2;
/// Who speaks no more often than this to whom in a long timeline says what matters: the one
/// load among a thousand looks.
const SELDOM: usize = 4;
/// Of what is said often the first times are shown: the load, and the one that was too many.
const FIRST: usize = 2;

/// A space that no line ends at, until it is printed.
const GLUE: &str = "\u{a0}";

/// All that is known about one check that did not pass, indented below its exercise.
pub(crate) fn render(check: &CheckReport, whole_wire: bool, look: &Look) -> String {
    let mut text = String::new();
    let style = match check.status {
        Status::Passed => look.good,
        Status::NotStarted => look.quiet,
        _ => look.bad,
    };
    let _ = writeln!(
        text,
        "{} {}",
        words::sign(check.status).style(style),
        words::sentence(&check.name).style(look.strong)
    );
    if let (Status::NotStarted, Some(todo)) = (check.status, &check.todo) {
        let says = todo
            .says
            .as_ref()
            .map_or_else(String::new, |says| format!(": {says}"));
        let place = format!("todo!() at {}:{}{says}", todo.file, todo.line);
        text.push_str(&field("reached", &place, look));
        return text;
    }
    if let Some(finding) = &check.finding {
        for (label, value) in [
            ("did", &finding.did),
            ("saw", &finding.saw),
            ("expected", &finding.expected),
            ("why", &finding.why),
        ] {
            if !value.is_empty() {
                text.push_str(&field(label, value, look));
            }
        }
    }
    if let Some(reason) = &check.reason {
        text.push_str(&field("reason", reason, look));
    }
    let failed = matches!(check.status, Status::Failed | Status::TimedOut);
    if !check.timeline.is_empty() && (failed || whole_wire) {
        text.push('\n');
        timeline(&mut text, &check.timeline, whole_wire, look);
    }
    text
}

/// `label` and a text that is wrapped beside it.
pub(crate) fn field(label: &str, value: &str, look: &Look) -> String {
    let first = format!("    {label:<9} ");
    let indent = " ".repeat(14);
    let options = textwrap::Options::new(look.width)
        .initial_indent(&first)
        .subsequent_indent(&indent)
        // A path is to be copied whole: only a space may end a line.
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let wrapped = textwrap::fill(value.trim_end(), options);
    let value = wrapped.strip_prefix(&first).unwrap_or(&wrapped);
    format!("    {} {value}\n", format!("{label:<9}").style(look.quiet))
}

fn timeline(text: &mut String, events: &[Event], whole: bool, look: &Look) {
    let parties = |event: &Event| (event.from.chars().count(), event.to.chars().count());
    let (mut from, mut to) = (0, 0);
    for event in events {
        let (f, t) = parties(event);
        from = from.max(f);
        to = to.max(t);
    }
    let mut shown = shown(events, whole);
    if !whole {
        keep_the_nearest(&mut shown, events, look.messages);
    }
    let mut skipped = 0;
    for (index, event) in events.iter().enumerate() {
        if !shown[index] {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            let _ = writeln!(text, "{}", left_out(skipped, look));
            skipped = 0;
        }
        let reply = event.reply.as_ref().map_or_else(String::new, |reply| {
            format!("  {reply}{}", late(event, events))
        });
        let parties = format!(
            "  {:>8.1} ms  {:<from$} → {:<to$}  ",
            event.at_ms, event.from, event.to
        );
        let said = format!("{}{reply}", event.what);
        let note = event
            .note
            .as_ref()
            // It stays with its first word where the line is wrapped.
            .map_or_else(String::new, |note| format!("  ←{GLUE}{note}"));
        // Into a pipe a message is a line.
        let line = match whole || look.live {
            true => beside(&parties, &(said + &note), look),
            false => parties + &said + &note,
        };
        let (said, note) = match line.rfind(&format!("←{GLUE}")) {
            Some(arrow) => line.split_at(line[..arrow].trim_end().len()),
            None => (line.as_str(), ""),
        };
        let note = note.replace(GLUE, " ");
        let _ = writeln!(text, "{said}{}", styled(&note, look));
    }
    if skipped > 0 {
        let _ = writeln!(text, "{}", left_out(skipped, look));
    }
}

/// Where messages are not shown: below the times of those that are.
fn left_out(lines: usize, look: &Look) -> String {
    let words = format!("… {}", words::count(lines, "line"));
    format!("         {}", words.style(look.quiet))
}

/// When the answer came, if the check began something else in between: on its own line it would
/// seem to stand before that. A crowd that all asks the same is no such thing.
fn late(event: &Event, events: &[Event]) -> String {
    let Some(at) = event.replied_at_ms else {
        return String::new();
    };
    let overtook = |other: &Event| {
        other.from == "check"
            && other.what != event.what
            && event.at_ms < other.at_ms
            && other.at_ms < at
    };
    match events.iter().any(overtook) {
        true => format!(" (at {at:.1} ms)"),
        false => String::new(),
    }
}

/// A note in the colour of what is wrong, on each of its lines.
fn styled(note: &str, look: &Look) -> String {
    let lines = note.lines().map(|line| {
        let words = line.trim_start();
        let indent = &line[..line.len() - words.len()];
        format!("{indent}{}", words.style(look.bad))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One message as it comes, long after the first of them.
pub(crate) fn line(event: &Event, look: &Look) -> String {
    let time = format!("{:>9.3} s", event.at_ms / 1000.0);
    let reply = event.reply.as_deref().unwrap_or("(no answer yet)");
    let parties = format!("{time}  {:<5} → {:<9}  ", event.from, event.to);
    let said = format!("{}  {reply}", event.what);
    match look.live {
        true => beside(&parties, &said, look) + "\n",
        false => parties + &said + "\n",
    }
}

/// What was said, wrapped beside who said it to whom.
fn beside(parties: &str, said: &str, look: &Look) -> String {
    // On a narrow terminal half of it is left for what was said.
    let indent = " ".repeat(parties.chars().count().min(look.width / 2));
    let options = textwrap::Options::new(look.width)
        .initial_indent(parties)
        .subsequent_indent(&indent)
        // A value of one word is wrapped as well: it may be longer than any terminal is wide.
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(said, options)
}

/// Which lines decide: those that a check points at, with what stands around them, the
/// first and the last, what is said seldom, and what the check did besides asking: an instance
/// that it started with another environment explains the lines after it.
fn shown(events: &[Event], whole: bool) -> Vec<bool> {
    if whole || events.len() <= SHORT_TIMELINE {
        return vec![true; events.len()];
    }
    let mut shown = vec![false; events.len()];
    let mut show = |from: usize, to: usize| {
        for line in shown.iter_mut().take(to).skip(from) {
            *line = true;
        }
    };
    show(0, CONTEXT);
    show(events.len().saturating_sub(CONTEXT * 2), events.len());
    let acts = events.iter().enumerate().filter(|(_, event)| is_act(event));
    let acts: Vec<usize> = acts.map(|(index, _)| index).collect();
    // A check that does the same again and again: how it began, and what it ended with.
    for index in acts.iter().take(2).chain(acts.iter().rev().take(3)) {
        show(*index, *index + 1);
    }
    let mut spoken: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        spoken
            .entry((&event.from, &event.to))
            .or_default()
            .push(index);
    }
    for said in spoken.values() {
        // Of the load that was one too many the moment tells how it came about.
        let told = if said.len() <= SELDOM { SELDOM } else { FIRST };
        for index in said.iter().take(told) {
            show(*index, index + 1);
        }
    }
    let noted = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.note.is_some());
    // A check that points at a hundred lines means the first few.
    for (index, _) in noted.take(4) {
        show(index.saturating_sub(CONTEXT), index + CONTEXT + 1);
    }
    close_gaps(&mut shown, SMALL_GAP);
    shown
}

/// Where there is no room for all of these: the lines that a check points at, and those that are
/// nearest to them. Where it points at none, what it did last has decided, or what came in the end.
fn keep_the_nearest(shown: &mut [bool], events: &[Event], most: usize) {
    let lines = || (0..events.len()).filter(|line| shown[*line]);
    if lines().count() <= most {
        return;
    }
    let mut decide: Vec<usize> = lines().filter(|it| is_pointed_at(&events[*it])).collect();
    if decide.is_empty() {
        let last = lines().rfind(|it| is_act(&events[*it]));
        decide.push(last.unwrap_or(events.len() - 1));
    }
    let distance = |line: &usize| decide.iter().map(|it| it.abs_diff(*line)).min();
    let mut nearest: Vec<usize> = lines().collect();
    nearest.sort_by_key(distance);
    nearest.truncate(most);
    shown.fill(false);
    for line in nearest {
        shown[line] = true;
    }
    // A line takes no more room than the words that it is left out.
    close_gaps(shown, 1);
}

/// To say that a line or two are left out takes as much room as to show them.
fn close_gaps(shown: &mut [bool], most: usize) {
    let mut last = None;
    for index in 0..shown.len() {
        if !shown[index] {
            continue;
        }
        let from = last.map_or(0, |last: usize| last + 1);
        if index - from <= most {
            shown[from..index].fill(true);
        }
        last = Some(index);
    }
}

/// By the check: that a wire has held a message is noted on its line as well.
fn is_pointed_at(event: &Event) -> bool {
    let held = |note: &String| note.contains(labkit::wire::HELD);
    event.note.as_ref().is_some_and(|note| !held(note))
}

/// A request has an answer, or a note that it has none.
fn is_act(event: &Event) -> bool {
    event.from == "check" && event.reply.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::CheckReport;

    fn event(from: &str, what: &str, reply: Option<&str>) -> Event {
        Event {
            at_ms: 1.25,
            from: from.to_owned(),
            to: "redis".to_owned(),
            what: what.to_owned(),
            reply: reply.map(str::to_owned),
            replied_at_ms: None,
            note: None,
        }
    }

    #[test]
    fn a_folded_timeline_keeps_what_the_check_changed() {
        let mut events = vec![event("app", "GET product:7", Some("nil")); 40];
        events[20] = event("check", "start with PRODUCT_TTL_S=60", None);
        events[21..=21 + SELDOM].fill(event("check", "GET /products/7", Some("200")));
        let shown = shown(&events, false);
        assert!(shown[20]);
        assert!(!shown[19] && !shown[21 + SELDOM]);
    }

    #[test]
    fn a_folded_timeline_keeps_what_is_said_seldom() {
        let mut events = vec![event("app", "GET product:7", Some("nil")); 2000];
        for place in [700, 1400] {
            events[place].to = "catalogue".to_owned();
        }
        let shown = shown(&events, false);
        assert!(shown[700] && shown[1400]);
        assert!(!shown[699] && !shown[1401]);
    }

    #[test]
    fn where_there_is_little_room_the_lines_that_decide_are_kept() {
        let mut events = vec![event("app", "GET product:7", Some("nil")); 12];
        let kept = |events: &[Event], most: usize| {
            let mut shown = shown(events, false);
            keep_the_nearest(&mut shown, events, most);
            let lines = (0..events.len()).filter(|line| shown[*line]);
            lines.collect::<Vec<_>>()
        };
        assert_eq!(kept(&events, 12).len(), 12);
        assert_eq!(kept(&events, 4), [8, 9, 10, 11]);
        events[3].note = Some("one too many".to_owned());
        // The one line before these takes no more room than the words that it is left out.
        assert_eq!(kept(&events, 4), [0, 1, 2, 3, 4]);
        events[6].note = Some("another".to_owned());
        assert_eq!(kept(&events, 2), [3, 6]);
        for event in &mut events {
            event.note = Some("held by the check until 7.0 ms".to_owned());
        }
        events[7] = event("check", "gives lock:7 to another holder", None);
        assert_eq!(kept(&events, 3), [6, 7, 8]);
    }

    #[test]
    fn an_answer_says_when_it_came_if_another_request_began_before() {
        let mut slow = event("check", "PUT /prices/7", Some("200"));
        slow.replied_at_ms = Some(90.0);
        let mut quick = event("check", "GET /prices/7", Some("200"));
        (quick.at_ms, quick.replied_at_ms) = (40.0, Some(50.0));
        let events = [slow, quick];
        let said = events.each_ref().map(|event| late(event, &events));
        assert_eq!(said, [" (at 90.0 ms)", ""]);
    }

    #[test]
    fn the_whole_wire_is_wrapped_beside_who_spoke() {
        let mut check = CheckReport::unrun("it_is_kept", Status::Passed);
        let what = format!("SET product:7 {} EX 600", "x".repeat(70));
        check.timeline.push(Event {
            note: Some("here".to_owned()),
            ..event("app", &what, Some("OK"))
        });
        let text = render(&check, true, &Look::new(false, 60, false));
        insta::assert_snapshot!(text, @r"
        ✓ it is kept

               1.2 ms  app → redis  SET product:7
                                    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                                    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                                    xxxxxx EX 600  OK  ← here
        ");
    }
}
