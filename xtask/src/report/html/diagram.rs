//! A timeline as a sequence diagram in SVG: a lane for each participant, an arrow for each
//! message and each answer, at the moment when it was seen.

use labkit::timeline::Event;
use maud::{Markup, html};

/// Pixels; the text is 12 pixels high and about 7 wide.
const LANE: usize = 172;
const CLOCK: usize = 78;
const HEAD: usize = 34;
const ROW: usize = 30;
const LETTER: usize = 7;
/// Longer ones say more on the terminal, with `--wire`.
const MOST_ARROWS: usize = 160;

struct Arrow<'a> {
    at_ms: f64,
    from: usize,
    to: usize,
    says: &'a str,
    note: Option<&'a str>,
    answer: bool,
}

/// Draws `events`; `name` is what somebody hears who cannot see the picture.
pub(super) fn sequence(name: &str, events: &[Event]) -> Markup {
    let lanes = participants(events);
    let arrows = arrows(events, &lanes);
    let shown = &arrows[..arrows.len().min(MOST_ARROWS)];
    let width = CLOCK + lanes.len() * LANE;
    let height = HEAD + (shown.len() + 1) * ROW;
    html! {
        div.wide {
            svg role="img" aria-label={ "what was said, in order: " (name) }
                width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
                @for (number, lane) in lanes.iter().enumerate() {
                    line.lane x1=(middle(number)) x2=(middle(number)) y1=(HEAD) y2=(height) {}
                    text.name x=(middle(number)) y="20" text-anchor="middle" { (lane) }
                }
                @for (row, arrow) in shown.iter().enumerate() { (draw(arrow, HEAD + (row + 1) * ROW)) }
            }
        }
        @if shown.len() < arrows.len() {
            p.facts { "… and " (arrows.len() - shown.len()) " more" }
        }
    }
}

/// The check, then who was there for it, in the order of the first word; on the right the
/// services, by name: those that somebody else than the check talks to.
fn participants(events: &[Event]) -> Vec<&str> {
    let mut lanes: Vec<&str> = Vec::new();
    for name in events.iter().flat_map(|event| [&*event.from, &*event.to]) {
        if !lanes.contains(&name) {
            lanes.push(name);
        }
    }
    let is_service = |name: &str| {
        events
            .iter()
            .any(|event| event.to == name && event.from != "check")
    };
    lanes.sort_by_key(|name| match *name {
        "check" => (0, ""),
        name if is_service(name) => (2, name),
        _ => (1, ""),
    });
    lanes
}

/// Every message and every answer, in the order of time.
fn arrows<'a>(events: &'a [Event], lanes: &[&str]) -> Vec<Arrow<'a>> {
    let lane = |name: &str| lanes.iter().position(|lane| *lane == name).unwrap_or(0);
    let mut arrows = Vec::new();
    for event in events {
        let (from, to) = (lane(&event.from), lane(&event.to));
        arrows.push(Arrow {
            at_ms: event.at_ms,
            from,
            to,
            says: &event.what,
            note: event.note.as_deref(),
            answer: false,
        });
        if let Some(reply) = &event.reply {
            arrows.push(Arrow {
                at_ms: event.replied_at_ms.unwrap_or(event.at_ms),
                from: to,
                to: from,
                says: reply,
                note: None,
                answer: true,
            });
        }
    }
    arrows.sort_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
    arrows
}

fn draw(arrow: &Arrow<'_>, y: usize) -> Markup {
    let (from, to) = (middle(arrow.from), middle(arrow.to));
    let (left, right) = (from.min(to), from.max(to));
    // A word to oneself has no length; it gets the room of a lane.
    let room = (right - left).max(LANE) - 2 * LETTER;
    let note = arrow.note.map(|note| format!(" ← {note}"));
    let whole = format!("{}{}", arrow.says, note.as_deref().unwrap_or_default());
    let class = if arrow.answer { "answer" } else { "message" };
    let tip = match to.cmp(&from) {
        std::cmp::Ordering::Less => to + LETTER,
        _ => to - LETTER,
    };
    html! {
        g class=(class) {
            title { (whole) }
            text.clock x=(CLOCK - LETTER) y=(y) text-anchor="end" { (format!("{:.1} ms", arrow.at_ms)) }
            line x1=(from) x2=(to) y1=(y) y2=(y) {}
            polygon points={ (to) "," (y) " " (tip) "," (y - 4) " " (tip) "," (y + 4) } {}
            text x=(left.midpoint(right)) y=(y - 6) text-anchor="middle" { (cut(&whole, room / LETTER)) }
        }
    }
}

fn middle(lane: usize) -> usize {
    CLOCK + lane * LANE + LANE / 2
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters.saturating_sub(1)).collect();
    format!("{kept}…")
}
