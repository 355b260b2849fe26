//! What restore tests and clones may reach beside the data: commands, databases and hooks that whoever runs the server has
//! named in a file of its own (`--test-tools FILE`).
//!
//! Lives here: reading that file. May not: starting anything, opening a secret.
//! Invariant: a definition of a page or a program names what stands here and never holds a command or an address
//! itself. Commands and databases are for admins to name; a hook is there for everybody who may restore.

use domain::naming::nearest;
use store::repositories::SecretRef;

use super::{
    Mistake,
    keys::{Form, Key, Level, SECRET, or, shown},
    walk::{Fields, Text, Walk},
    yaml::{self, Node, Value},
};

/// The most commands, and the most connections.
const MOST: usize = 200;
/// The most arguments of a command.
const MOST_ARGUMENTS: usize = 100;
/// How long a command may take where nothing is said, and at most.
const LIMIT_S: i64 = 300;
const LONGEST_S: i64 = 86_400;

static TOP: Level = Level {
    words: "the top level",
    keys: &[
        Key("commands", Form::List(&COMMAND), "commands: and a list below"),
        Key("connections", Form::List(&CONNECTION), "connections: and a list below"),
        Key("hooks", Form::List(&HOOK), "hooks: and a list below"),
    ],
    needs: &[],
};

static HOOK: Level = Level {
    words: "a hook",
    keys: &[
        Key("name", Form::Name, "name: dns-alias"),
        Key("argv", Form::Texts, "argv: [/usr/local/bin/dns-alias]"),
        Key("url", Form::One(&SECRET), "url: { env: DNS_HOOK }"),
        Key("time_limit", Form::Span, "time_limit: 5m"),
    ],
    needs: &["name"],
};

static COMMAND: Level = Level {
    words: "a command",
    keys: &[
        Key("name", Form::Name, "name: hub-starts"),
        Key("argv", Form::Texts, "argv: [/usr/local/bin/hub-starts, --fast]"),
        Key("time_limit", Form::Span, "time_limit: 5m"),
    ],
    needs: &["name", "argv"],
};

static CONNECTION: Level = Level {
    words: "a connection",
    keys: &[Key("name", Form::Name, "name: scratch"), Key("url", Form::One(&SECRET), "url: { env: SCRATCH_DATABASE }")],
    needs: &["name", "url"],
};

/// A command with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTool {
    pub name: String,
    /// An absolute path and its arguments.
    pub argv: Vec<String>,
    pub limit_s: i64,
}

/// A PostgreSQL database with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionTool {
    pub name: String,
    /// Where its address stands, which may hold a password.
    pub url: SecretRef,
}

/// What is called when a clone runs, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookTool {
    pub name: String,
    pub call: HookCall,
    pub limit_s: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookCall {
    /// An absolute path and its arguments.
    Command(Vec<String>),
    /// Where the address stands that takes a POST.
    Webhook(SecretRef),
}

/// All that the file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    pub commands: Vec<CommandTool>,
    pub connections: Vec<ConnectionTool>,
    pub hooks: Vec<HookTool>,
}

impl Tools {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// Every mistake with its place and its remedy.
    pub fn read(text: &str) -> Result<Self, Vec<Mistake>> {
        let node = yaml::read(text).map_err(|m| vec![m])?;
        let mut walk = Walk::default();
        let mut tools = Self::default();
        if let Some(top) = walk.fields(&node, &TOP) {
            for (entry, node) in listed(&mut walk, &top, "commands") {
                let Some(fields) = walk.fields(node, &COMMAND) else { continue };
                if let Some(command) = command(&mut walk, &fields) {
                    unique(&mut walk, entry, &command.name, tools.commands.iter().map(|c| &c.name));
                    tools.commands.push(command);
                }
            }
            for (entry, node) in listed(&mut walk, &top, "connections") {
                let Some(fields) = walk.fields(node, &CONNECTION) else { continue };
                let name = walk.slug(&fields);
                let url = walk.required(&fields, "url").and_then(|e| walk.secret(e));
                if let (Some(name), Some(url)) = (name, url) {
                    unique(&mut walk, entry, name.text, tools.connections.iter().map(|c| &c.name));
                    tools.connections.push(ConnectionTool { name: name.text.to_owned(), url });
                }
            }
            for (entry, node) in listed(&mut walk, &top, "hooks") {
                let Some(fields) = walk.fields(node, &HOOK) else { continue };
                if let Some(hook) = hook(&mut walk, &fields) {
                    unique(&mut walk, entry, &hook.name, tools.hooks.iter().map(|h| &h.name));
                    tools.hooks.push(hook);
                }
            }
        }
        walk.finish()?;
        Ok(tools)
    }

    pub fn command(&self, name: &str) -> Option<&CommandTool> {
        self.commands.iter().find(|c| c.name == name)
    }

    pub fn connection(&self, name: &str) -> Option<&ConnectionTool> {
        self.connections.iter().find(|c| c.name == name)
    }

    pub fn hook(&self, name: &str) -> Option<&HookTool> {
        self.hooks.iter().find(|h| h.name == name)
    }

    /// What is wrong with the name of a hook, if anything.
    pub fn hook_problem(&self, name: &str) -> Option<String> {
        let known: Vec<&str> = self.hooks.iter().map(|h| h.name.as_str()).collect();
        self.hook(name).is_none().then(|| Self::missing("hook", name, &known))
    }

    /// What to do about a name that is not among those of its kind.
    pub fn missing(kind: &str, name: &str, known: &[&str]) -> String {
        let remedy = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean “{meant}”?"),
            None if known.is_empty() => format!("the file of --test-tools names no {kind}; add it there"),
            None => format!("use {}, or add it to the file of --test-tools", or(known)),
        };
        format!("there is no {kind} {}; {remedy}", shown(name))
    }
}

fn listed<'a>(walk: &mut Walk, top: &Fields<'a>, key: &str) -> Vec<(yaml::At, &'a Node)> {
    top.get(key).map(|e| walk.list(top, e, MOST)).unwrap_or_default().iter().map(|n| (n.at, n)).collect()
}

fn unique<'a>(walk: &mut Walk, at: yaml::At, name: &str, mut before: impl Iterator<Item = &'a String>) {
    if before.any(|b| b == name) {
        walk.say(at, format!("the name {} is taken by one above; choose another", shown(name)));
    }
}

fn command(walk: &mut Walk, fields: &Fields<'_>) -> Option<CommandTool> {
    let name = walk.slug(fields);
    let limit_s = limit(walk, fields);
    let entry = walk.required(fields, "argv")?;
    let argv = argv(walk, fields, entry)?;
    let Text { text, .. } = name?;
    Some(CommandTool { name: text.to_owned(), argv, limit_s })
}

fn hook(walk: &mut Walk, fields: &Fields<'_>) -> Option<HookTool> {
    let name = walk.slug(fields);
    let limit_s = limit(walk, fields);
    let call = match (fields.get("argv"), fields.get("url")) {
        (Some(entry), None) => HookCall::Command(argv(walk, fields, entry)?),
        (None, Some(entry)) => HookCall::Webhook(walk.secret(entry)?),
        _ => {
            walk.say(fields.at, "a hook needs “argv”, a command, or “url”, where an address stands that takes a POST; give one of the two");
            return None;
        }
    };
    let Text { text, .. } = name?;
    Some(HookTool { name: text.to_owned(), call, limit_s })
}

fn limit(walk: &mut Walk, fields: &Fields<'_>) -> i64 {
    let limit = walk.span(fields, "time_limit").unwrap_or(LIMIT_S);
    if !(1..=LONGEST_S).contains(&limit) {
        walk.say(fields.at, "“time_limit” must be from 1s to 1d".to_owned());
    }
    limit
}

/// A program by its absolute path, with its arguments.
fn argv(walk: &mut Walk, fields: &Fields<'_>, entry: &yaml::Entry) -> Option<Vec<String>> {
    let nodes = walk.list(fields, entry, MOST_ARGUMENTS);
    let mut argv = Vec::new();
    for node in nodes {
        match &node.value {
            Value::Text(text) if !text.contains('\0') => argv.push(text.clone()),
            _ => walk.say(node.at, "an argument must be a text; put it in quotes"),
        }
    }
    let (Some(node), Some(program)) = (nodes.first(), argv.first()) else {
        walk.say(entry.at, "“argv” is empty; begin it with the absolute path of a program");
        return None;
    };
    walk.absolute(node.at, program, "the program")?;
    Some(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "commands:\n  - name: hub-starts\n    argv: [/usr/local/bin/hub, --fast, \"a b\"]\n    time_limit: 2m\n  - { name: quick, argv: [/bin/true] }\nconnections:\n  - name: scratch\n    url: { env: SCRATCH }\nhooks:\n  - { name: dns-alias, argv: [/usr/local/bin/alias, add], time_limit: 30s }\n  - { name: tell, url: { env: TELL } }\n";

    #[test]
    fn the_file_is_read() {
        let tools = Tools::read(GOOD).unwrap();
        let hub = tools.command("hub-starts").unwrap();
        assert_eq!((hub.argv.join("|").as_str(), hub.limit_s), ("/usr/local/bin/hub|--fast|a b", 120));
        assert_eq!((tools.command("quick").unwrap().limit_s, tools.connection("scratch").unwrap().url.clone()), (300, SecretRef::Env("SCRATCH".into())));
        assert!(tools.command("other").is_none());
        let (alias, tell) = (tools.hook("dns-alias").unwrap(), tools.hook("tell").unwrap());
        assert_eq!((&alias.call, alias.limit_s), (&HookCall::Command(vec!["/usr/local/bin/alias".into(), "add".into()]), 30));
        assert_eq!(tell.call, HookCall::Webhook(SecretRef::Env("TELL".into())));
        assert!(tools.hook_problem("tell").is_none() && tools.hook_problem("dns-alia").unwrap().contains("did you mean “dns-alias”"));
    }

    #[test]
    fn each_mistake_has_its_place_and_its_remedy() {
        for (old, new, want) in [
            ("    argv: [/usr/local/bin/hub, --fast, \"a b\"]\n", "", "2:5: a command needs “argv”"),
            ("/usr/local/bin/hub", "hub", "must be an absolute path"),
            ("time_limit: 2m", "time_limit: soon", "“time_limit”: “soon” is not a duration"),
            ("time_limit: 2m", "limit: 2m", "4:5:"),
            ("name: quick", "name: hub-starts", "is taken by one above"),
            ("url: { env: SCRATCH }", "url: postgres://me:hush@db/x", "“url” must not stand in this file"),
            ("[/bin/true]", "[]", "“argv” is empty"),
            ("url: { env: TELL }", "time_limit: 5s", "a hook needs “argv”"),
            ("url: { env: TELL }", "url: { env: TELL }, argv: [/bin/true]", "give one of the two"),
            ("url: { env: TELL }", "url: https://me:hush@dns/x", "“url” must not stand in this file"),
            ("name: tell", "name: dns-alias", "is taken by one above"),
        ] {
            let text = GOOD.replacen(old, new, 1);
            let mistakes = Tools::read(&text).unwrap_err();
            let said = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(said.contains(want) && !said.contains("hush"), "{want}: {said}");
        }
        assert!(Tools::missing("command", "hub-start", &["hub-starts"]).contains("did you mean “hub-starts”"));
        assert!(Tools::missing("command", "x", &[]).contains("--test-tools names no command"));
    }
}
