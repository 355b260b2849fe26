//! A calendar as a file that other programs subscribe to (RFC 5545).
//!
//! Lives here: the form of the file: properties, escaping, folding. May not: what is due, who may see it, time zones.
//! Invariants: no line is longer than 75 octets and none is cut inside a character; what people have written cannot end a
//! line or begin a property.

use jiff::civil::Date;

use crate::units::Timestamp;

/// The longest line, without its end.
const LINE: usize = 75;

/// One day with something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same for as long as it is about the same thing, so that a program moves an event and makes no second one.
    pub uid: String,
    /// When what it says was changed last.
    pub changed_at: Timestamp,
    pub on: Date,
    pub summary: String,
    pub description: String,
    /// The page that shows it.
    pub url: Option<String>,
    /// Days before at which a program is to remind.
    pub alarms: Vec<i64>,
}

/// The calendar with that name, its lines ended by CR LF.
pub fn calendar(name: &str, events: &[Event]) -> String {
    let mut out = Lines(String::new());
    out.line("BEGIN:VCALENDAR");
    out.line("VERSION:2.0");
    out.line("PRODID:-//Holdfast//Review calendar//EN");
    out.line("CALSCALE:GREGORIAN");
    out.text("X-WR-CALNAME", name);
    out.line("REFRESH-INTERVAL;VALUE=DURATION:PT6H");
    for event in events {
        out.event(event);
    }
    out.line("END:VCALENDAR");
    out.0
}

/// A text value: what has a meaning in the file is escaped, line ends become `\n`, other control characters go.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push_str("\\n"),
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn day(date: Date) -> String {
    date.strftime("%Y%m%d").to_string()
}

struct Lines(String);

impl Lines {
    /// A content line, folded: what follows begins with a space.
    fn line(&mut self, content: &str) {
        let mut room = LINE;
        for c in content.chars() {
            if c.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE - 1;
            }
            self.0.push(c);
            room -= c.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    fn text(&mut self, property: &str, value: &str) {
        self.line(&format!("{property}:{}", escaped(value)));
    }

    fn event(&mut self, e: &Event) {
        let stamp = jiff::Timestamp::from_microsecond(e.changed_at.0).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
        self.line("BEGIN:VEVENT");
        self.text("UID", &e.uid);
        self.line(&format!("DTSTAMP:{stamp}"));
        self.line(&format!("LAST-MODIFIED:{stamp}"));
        self.line(&format!("DTSTART;VALUE=DATE:{}", day(e.on)));
        self.line(&format!("DTEND;VALUE=DATE:{}", day(e.on.tomorrow().unwrap_or(e.on))));
        self.text("SUMMARY", &e.summary);
        self.text("DESCRIPTION", &e.description);
        // An address is no text: it is not escaped. One that could end the line is left out.
        if let Some(url) = e.url.as_ref().filter(|u| !u.chars().any(|c| c.is_control() || c == ' ')) {
            self.line(&format!("URL:{url}"));
        }
        self.line("CATEGORIES:Continuity");
        self.line("CLASS:CONFIDENTIAL");
        self.line("TRANSP:TRANSPARENT");
        for days in &e.alarms {
            self.line("BEGIN:VALARM");
            self.line("ACTION:DISPLAY");
            self.line(&format!("TRIGGER:-P{days}D"));
            self.text("DESCRIPTION", &e.summary);
            self.line("END:VALARM");
        }
        self.line("END:VEVENT");
    }
}
