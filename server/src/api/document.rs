//! What the document says of every operation: headers and refusals that do not depend on what it is about.
//!
//! Lives here: completing the document that the handlers give. May not: what one operation takes or answers (that stands
//! above its handler). Invariant: every status that an operation can answer with stands in the document.

use utoipa::openapi::{
    Content, HttpMethod, Object, OpenApi, Ref, RefOr, Required, Response, Type,
    header::HeaderBuilder,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
};

use super::once;

/// Completes every operation.
pub fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        // What can be found alone and changed has a version.
        let versioned = item.get.is_some() && (item.put.is_some() || item.delete.is_some());
        for (method, operation) in operations(item) {
            operation.operation_id = Some(id_of(&method, path));
            if versioned {
                version(&method, operation);
            }
            if method == HttpMethod::Post && once::TAKEN.contains(&path.as_str()) {
                key(operation);
            }
            refusals(&method, operation);
        }
    }
}

/// The name of an operation, unique as the specification wants it: `get_services_name_plan`.
fn id_of(method: &HttpMethod, path: &str) -> String {
    let verb = match method {
        HttpMethod::Put => "put",
        HttpMethod::Post => "post",
        HttpMethod::Delete => "delete",
        _ => "get",
    };
    let parts = path.trim_start_matches("/api/v1/").split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty());
    std::iter::once(verb).chain(parts).collect::<Vec<_>>().join("_")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    [(HttpMethod::Get, &mut item.get), (HttpMethod::Put, &mut item.put), (HttpMethod::Post, &mut item.post), (HttpMethod::Delete, &mut item.delete)]
        .into_iter()
        .filter_map(|(method, operation)| operation.as_mut().map(|o| (method, o)))
}

fn text() -> Object {
    Object::with_type(Type::String)
}

/// A header that may be left out.
fn header(name: &str, description: &str) -> RefOr<Parameter> {
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    RefOr::T(header.description(Some(description)).schema(Some(text())).build())
}

fn takes(operation: &mut Operation, parameter: RefOr<Parameter>) {
    operation.parameters.get_or_insert_default().push(parameter);
}

fn answers(operation: &mut Operation, status: &str, answer: Response) {
    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(answer));
}

/// A refusal as problem+json.
fn refuses(operation: &mut Operation, status: &str, why: &str) {
    let mut answer = Response::new(why);
    answer.content.insert("application/problem+json".to_owned(), RefOr::T(Content::new(Some(Ref::from_schema_name("Problem")))));
    answers(operation, status, answer);
}

/// `ETag` on what is found and saved; `If-None-Match` and `If-Match`.
fn version(method: &HttpMethod, operation: &mut Operation) {
    for (status, answer) in &mut operation.responses.responses {
        if let ("200" | "204", RefOr::T(answer), false) = (status.as_str(), answer, *method == HttpMethod::Delete) {
            let tag = HeaderBuilder::new().schema(Some(text())).description(Some("The version of what is saved, for If-Match"));
            answer.headers.insert("ETag".to_owned(), RefOr::T(tag.build()));
        }
    }
    if *method == HttpMethod::Get {
        takes(operation, header("If-None-Match", "The ETag of an answer that is at hand: 304 where it still holds"));
        answers(operation, "304", Response::new("it is as the asker has it"));
        return;
    }
    takes(operation, header("If-Match", "The ETag that the change starts from, or *: it must be there. Left out, the change goes through whatever is there"));
    if *method == HttpMethod::Put {
        takes(operation, header("If-None-Match", "Only *: there must be none yet"));
    }
    refuses(operation, "412", "what is there is not what the change starts from; the answer says who changed it last and when");
}

/// `Idempotency-Key`, and what comes of it.
fn key(operation: &mut Operation) {
    let description = "1 to 255 visible characters of ASCII, such as a UUID: for a day a repeat of this call with the same key and body starts nothing twice, \
        and gets the same answer with Idempotent-Replayed: true. The same key with another body is 422; while the first one is being carried out it is \
        409 with Retry-After. A call that was refused frees its key";
    takes(operation, header(once::KEY, description));
    for (status, answer) in &mut operation.responses.responses {
        if let (true, RefOr::T(answer)) = (status.starts_with('2'), answer) {
            let mark = HeaderBuilder::new().schema(Some(text())).description(Some("true: it was given before, and nothing was done this time"));
            answer.headers.insert(once::REPLAYED.to_owned(), RefOr::T(mark.build()));
        }
    }
}

/// The refusals that follow from what an operation takes.
fn refusals(method: &HttpMethod, operation: &mut Operation) {
    let (parameters, body) = (operation.parameters.as_ref().is_some_and(|p| !p.is_empty()), operation.request_body.is_some());
    let changes = *method != HttpMethod::Get;
    refuses(operation, "401", "nobody has signed in, or the token is not valid");
    refuses(operation, "403", "whoever asks may not do this");
    if parameters || body {
        refuses(operation, "400", "a parameter or the body is not understood");
        refuses(operation, "404", "something that was named is not there");
        refuses(operation, "422", "something that was given cannot be used; each field is named");
    }
    if body {
        refuses(operation, "413", "the body is longer than 1 MiB");
        let kinds = match &operation.request_body {
            Some(RefOr::T(body)) => body.content.keys().cloned().collect::<Vec<_>>().join(" or "),
            _ => "application/json".to_owned(),
        };
        refuses(operation, "408", "the body took longer than 30 seconds to come");
        refuses(operation, "415", &format!("the body is not sent as {kinds}"));
    }
    if changes {
        refuses(operation, "409", "something else came first, or stands in the way");
    }
    refuses(operation, "429", "too many tries with tokens that are not valid, or too many new tokens; Retry-After says when to come again");
    refuses(operation, "500", "a fault of Holdfast itself; the answer has its id in the log");
    refuses(operation, "503", "the database is busy or away; nothing was changed");
}
