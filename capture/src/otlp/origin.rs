//! Where spans come from: the resource and the scope, written once for all of them.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use schemas::{Envelope, SessionId};

use super::frame::Rest;
use super::value::{is_shallow, json, value_of, write, write_key};
use super::{Limits, Rejection};
use crate::happening::{Content, is_name};

/// The resource and the scope of spans or records.
#[derive(Debug)]
pub(super) struct Origin {
    /// Equal for all of a scope, so that it is stored once.
    content: Bytes,
    /// Attributes that the source dropped from resource and scope.
    pub(super) dropped: u64,
    pub(super) scope: String,
    producer: Option<String>,
    commit: Option<String>,
    framework: Option<String>,
    session: Option<String>,
}

/// Scopes of frameworks, whose version is theirs; that of an instrumentation is not its framework's.
const FRAMEWORKS: [(&str, &str); 4] = [
    ("pydantic-ai", "pydantic-ai"),
    ("gcp.vertex.agent", "google-adk"),
    ("ai", "vercel-ai"),
    ("com.anthropic.claude_code", "claude-code"),
];

impl Origin {
    pub(super) fn new(
        resource: &Resource,
        scope: Option<&InstrumentationScope>,
        schema_urls: (&str, &str),
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        let of_scope = scope.map(|scope| scope.attributes.as_slice()).unwrap_or_default();
        check(resource.attributes.iter().chain(of_scope), limits)?;
        let name = scope.map(|scope| scope.name.clone()).unwrap_or_default();
        let attribute = |key: &str| {
            let mut found = resource.attributes.iter().filter(|it| it.key == key);
            match value_of(found.next()?.value.as_ref())? {
                Value::StringValue(text) if is_name(text) => Some(text.clone()),
                _ => None,
            }
        };
        let dropped = scope.map_or(0, |scope| scope.dropped_attributes_count);
        Ok(Self {
            content: content(resource, scope, schema_urls).into(),
            dropped: u64::from(resource.dropped_attributes_count) + u64::from(dropped),
            producer: attribute("service.instance.id").or_else(|| attribute("service.name")),
            commit: attribute("vcs.ref.head.revision"),
            framework: framework(scope, attribute("service.version").as_deref()),
            session: attribute("session.id").filter(|id| SessionId::new(id).is_ok()),
            scope: name,
        })
    }

    /// Fills in what the span itself did not say.
    pub(super) fn fill(&self, envelope: &mut Envelope<'static>) {
        let or = |field: &mut Option<_>, value: &Option<String>| {
            *field = field.take().or_else(|| value.clone().map(Into::into));
        };
        or(&mut envelope.producer_id, &self.producer);
        or(&mut envelope.agent_git_sha, &self.commit);
        or(&mut envelope.agent_framework, &self.framework);
        if let (true, Some(session)) = (envelope.session_id.is_empty(), &self.session) {
            envelope.session_id = session.clone().into();
        }
    }

    pub(super) fn content(&self) -> Content {
        Content::json("", "resource", self.content.clone())
    }
}

/// Whether these attributes are few and shallow enough.
pub(super) fn check<'a>(
    attributes: impl Iterator<Item = &'a KeyValue>,
    limits: &Limits,
) -> Result<(), Rejection> {
    let mut count = 0_usize;
    for attribute in attributes {
        count += 1;
        if count > limits.attributes_max {
            return Err(Rejection::over("attributes", "attributes_max", limits.attributes_max));
        }
        if !is_shallow(value_of(attribute.value.as_ref()), limits.nesting_max) {
            return Err(Rejection::over("levels in a value", "nesting_max", limits.nesting_max));
        }
    }
    Ok(())
}

/// Appends a JSON object of attributes, keys that come again included.
pub(super) fn write_attributes(attributes: &[KeyValue], out: &mut Vec<u8>) {
    out.push(b'{');
    for attribute in attributes {
        write_key(&attribute.key, out);
        write(value_of(attribute.value.as_ref()), out);
    }
    out.push(b'}');
}

fn content(
    resource: &Resource,
    scope: Option<&InstrumentationScope>,
    (of_resource, of_scope): (&str, &str),
) -> Vec<u8> {
    let mut out = Rest::new();
    out.key("resource");
    write_attributes(&resource.attributes, &mut out.0);
    out.count("resource_dropped_attributes_count", resource.dropped_attributes_count);
    if !resource.entity_refs.is_empty() {
        out.key("entity_refs");
        json(&resource.entity_refs, &mut out.0);
    }
    out.text("schema_url", of_resource);
    if let Some(scope) = scope {
        out.key("scope");
        out.0.append(&mut scope_json(scope));
    }
    out.text("scope_schema_url", of_scope);
    out.close()
}

fn scope_json(scope: &InstrumentationScope) -> Vec<u8> {
    let mut out = Rest::new();
    out.text("name", &scope.name);
    out.text("version", &scope.version);
    if !scope.attributes.is_empty() {
        out.key("attributes");
        write_attributes(&scope.attributes, &mut out.0);
    }
    out.count("dropped_attributes_count", scope.dropped_attributes_count);
    out.close()
}

fn framework(
    scope: Option<&InstrumentationScope>,
    service_version: Option<&str>,
) -> Option<String> {
    let scope = scope?;
    let (_, name) = FRAMEWORKS.iter().find(|(known, _)| {
        let rest = scope.name.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })?;
    let version = match scope.version.as_str() {
        "" => service_version.filter(|_| *name == "claude-code").unwrap_or_default(),
        version => version,
    };
    let framework =
        if version.is_empty() { (*name).to_owned() } else { format!("{name}/{version}") };
    Some(framework).filter(|framework| is_name(framework))
}
