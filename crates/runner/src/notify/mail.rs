//! Mail by SMTP.
//!
//! Lives here: the mail and its envelope, the connection, what a reply means. May not: other words than the message's.

use std::fmt::Write as _;

use std::time::{Duration, SystemTime};

use domain::{
    alert::message::Event,
    channel::{Encryption, bare_address},
};
use engine::job::Secret;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    message::{Mailbox, header},
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::{Parcel, Said, shapes};

const LIMIT: Duration = Duration::from_secs(20);

pub async fn send(p: &Parcel<'_>) -> Said {
    let mail = match compose(p) {
        Ok(mail) => mail,
        Err(e) => return Said::No(e),
    };
    let transport = match transport(p).await {
        Ok(transport) => transport,
        Err(said) => return said,
    };
    match transport.send(mail).await {
        Ok(reply) => Said::Yes(format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" "))),
        Err(e) if e.is_permanent() => Said::No(words(&e)),
        Err(e) => Said::Later(words(&e), None),
    }
}

/// The server's reply where there is one, otherwise what broke, with its causes.
fn words(e: &Error) -> String {
    let mut text = e.status().map_or_else(|| e.to_string(), |code| code.to_string());
    let mut cause = std::error::Error::source(e);
    while let Some(c) = cause {
        let more = c.to_string();
        if !text.contains(&more) {
            text = if e.status().is_some() { format!("{text} {more}") } else { format!("{text}: {more}") };
        }
        cause = c.source();
    }
    text
}

async fn transport(p: &Parcel<'_>) -> Result<AsyncSmtpTransport<Tokio1Executor>, Said> {
    let o = &p.channel.options.0;
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(o.host.clone()).port(o.port()).timeout(Some(LIMIT));
    if o.encryption() != Encryption::None {
        let mut tls = TlsParameters::builder(o.host.clone());
        if !o.ca_file.is_empty() {
            let pem = tokio::fs::read(&o.ca_file).await.map_err(|e| Said::Later(format!("the file {} cannot be read ({})", o.ca_file, e.kind()), None))?;
            let certificate = Certificate::from_pem(&pem).map_err(|_| Said::No(format!("the file {} holds no certificate in PEM", o.ca_file)))?;
            tls = tls.add_root_certificate(certificate);
        }
        let parameters = tls.build().map_err(|e| Said::No(format!("TLS cannot be set up: {e}")))?;
        builder = builder.tls(if o.encryption() == Encryption::Tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) });
    }
    if let Some(password) = p.secrets.get("password").map(Secret::reveal) {
        builder = builder.credentials(Credentials::new(o.username.clone(), password.to_owned()));
    }
    Ok(builder.build())
}

/// The mail: plain text, marked as made by a machine, in one thread for one alert.
fn compose(p: &Parcel<'_>) -> Result<Mail, String> {
    let (m, o) = (p.message, &p.channel.options.0);
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| format!("“{text}” is not a mail address"));
    let domain = bare_address(&o.from).rsplit_once('@').map_or("holdfast.invalid", |(_, d)| d);
    let id = format!("<{}@{domain}>", p.id);
    let raw = |name: &'static str, value: String| header::HeaderValue::new(header::HeaderName::new_from_ascii_str(name), value);
    let mut builder = Mail::builder()
        .from(mailbox(&o.from)?)
        .to(mailbox(p.recipient)?)
        .subject(format!("[Holdfast] {}", shapes::title(m)))
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(p.now.0.max(0).unsigned_abs()))
        .message_id(Some(id))
        .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(raw("Holdfast-Event", m.event.to_string()));
    if let Some(alert) = m.alert {
        let thread = format!("<alert.{alert}@{domain}>");
        builder = builder.references(thread.clone()).in_reply_to(thread);
    }
    builder.header(header::ContentType::TEXT_PLAIN).body(body(p)).map_err(|e| format!("the mail cannot be made: {e}"))
}

fn body(p: &Parcel<'_>) -> String {
    let m = p.message;
    let mut text = format!("{}\n\n{}\n", shapes::title(m), m.text);
    let mut facts = shapes::facts(m);
    if let Some(link) = &p.link {
        facts.push(("Open", link.clone()));
    }
    if !facts.is_empty() {
        text.push('\n');
    }
    for (name, value) in facts {
        writeln!(text, "{name:<11} {value}").ok();
    }
    let why = if m.event == Event::Test {
        "An admin sent it to see whether this channel works."
    } else {
        "A rule or a schedule of Holdfast sends it to this address."
    };
    write!(text, "\n-- \n{why}\nMessage {}. A second mail with this number is the same message.\n", p.id).ok();
    text
}
