//! What is on record, read back as a reader would: contexts unfolded, bodies found, exchanges rebuilt byte for byte.

use std::collections::HashMap;

use schemas::{Cut, Digest, Envelope};
use serde_json::Value;

use crate::served::{Served, event};

/// An event with its whole contents.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) envelope: Envelope<'static>,
    pub(crate) digest: Digest,
    /// Role, kind and data.
    pub(crate) contents: Vec<(String, String, Vec<u8>)>,
}

/// The record of a gateway, in order.
pub(crate) fn read(served: &Served) -> Vec<Seen> {
    let mut bodies: HashMap<(Vec<u8>, Digest), Vec<u8>> = HashMap::new();
    let mut wholes: HashMap<Digest, Vec<(String, String, Digest)>> = HashMap::new();
    let mut all = Vec::new();
    for record in served.records() {
        let event = event(&record);
        let key = record.key.clone().unwrap();
        for body in &event.bodies {
            bodies.insert((key.clone(), body.digest), body.data.unwrap().to_vec());
        }
        let prefix = event.envelope.context_prefix.as_ref();
        let mut whole = prefix.map_or_else(Vec::new, |prefix| {
            wholes[&prefix.event_digest][..usize::try_from(prefix.count).unwrap()].to_vec()
        });
        whole.extend(
            event.envelope.contents.iter().map(|content| {
                (content.role.to_string(), content.kind.to_string(), content.digest)
            }),
        );
        let contents = whole.iter().map(|(role, kind, digest)| {
            (role.clone(), kind.clone(), bodies[&(key.clone(), *digest)].clone())
        });
        let contents = contents.collect();
        wholes.insert(event.event_digest, whole);
        let envelope = event.envelope.to_bytes();
        let envelope: &'static [u8] = Vec::leak(envelope);
        let envelope = Envelope::from_bytes(envelope).unwrap();
        all.push(Seen { envelope, digest: event.event_digest, contents });
    }
    all
}

impl Seen {
    /// What is said of the exchange: the request, and the response if there was one.
    pub(crate) fn http(&self) -> Vec<Value> {
        let http = self.contents.iter().filter(|(_, kind, _)| kind == "http");
        http.map(|(_, _, data)| serde_json::from_slice(data).unwrap()).collect()
    }

    /// The body that this is said of, byte for byte.
    pub(crate) fn rebuilt(&self, http: &Value) -> Vec<u8> {
        let body = &http["body"];
        let place = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let content = |place: usize| self.contents.get(place).map(|(_, _, data)| data.as_slice());
        let bytes = if let Some(cut) = body.get("cut") {
            Cut::from_json(cut).unwrap().fill(content).unwrap()
        } else if let Some(at) = body.get("content") {
            content(place(at)).unwrap().to_vec()
        } else {
            let frame = content(place(&body["zstd"])).unwrap();
            zstd::stream::decode_all(frame).unwrap()
        };
        assert_eq!(body["size"], bytes.len());
        assert_eq!(body["sha256"], Digest::of(&bytes).to_string());
        bytes
    }

    /// All that was said in it with this role and kind.
    pub(crate) fn said(&self, role: &str, kind: &str) -> Vec<String> {
        let of = self.contents.iter().filter(|content| content.0 == role && content.1 == kind);
        of.map(|(_, _, data)| String::from_utf8(data.clone()).unwrap()).collect()
    }
}

/// Whether a file of the gateway's folder has these bytes.
pub(crate) fn is_anywhere(served: &Served, bytes: &[u8]) -> bool {
    let mut folders = vec![served.dir.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let data = std::fs::read(path).unwrap();
            if data.windows(bytes.len()).any(|window| window == bytes) {
                return true;
            }
        }
    }
    assert!(files > 0, "there is nothing to look into");
    false
}
