//! CORE. A bundle's parts to its bytes. What can be counted is counted here, and what is for people is written here.

use schemas::{BundleName, Published};

use crate::bundle::zip::Writer;
use crate::bundle::{Bundle, manual, page};

impl Bundle {
    /// Counts links and bodies and adds what follows from the rest: schemas, `VERIFY.md` and `bundle.html`.
    pub(crate) fn complete(&mut self) {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let withheld =
            self.named().iter().filter(|digest| !self.bodies.contains_key(digest)).count();
        self.claim.links = number(self.links.len());
        self.claim.disclosed = number(self.bodies.len());
        self.claim.withheld = number(withheld);
        let schemas = self.events().filter_map(|event| Published::of_digest(&event.schema));
        self.schemas =
            schemas.map(|schema| (schema.digest, schema.text.as_bytes().to_vec())).collect();
        self.manual = Some(manual::manual(self).into_bytes());
        self.page = Some(page::page(self).into_bytes());
    }

    /// Its bytes.
    pub(crate) fn write(&self) -> Result<Vec<u8>, &'static str> {
        let mut zip = Writer::default();
        let mut add = |name: BundleName, content: &[u8]| zip.add(&name.to_string(), content);
        let people = [(BundleName::Manual, &self.manual), (BundleName::Page, &self.page)];
        for (name, content) in people {
            content.iter().try_for_each(|content| add(name.clone(), content))?;
        }
        add(BundleName::Claim, self.claim.to_string().as_bytes())?;
        add(BundleName::Checkpoint, self.checkpoint.note.to_string().as_bytes())?;
        if !self.cosignatures.is_empty() {
            let lines: String = self.cosignatures.iter().map(ToString::to_string).collect();
            add(BundleName::Cosignatures, lines.as_bytes())?;
        }
        for (authority, response) in &self.timestamps {
            add(BundleName::Timestamp(authority.clone()), response)?;
        }
        for (number, link) in (0..).zip(&self.links) {
            add(BundleName::Entry(number), link.entry.to_string().as_bytes())?;
            add(BundleName::Proof(number), link.proof.to_string().as_bytes())?;
            if let Some(rows) = &link.rows {
                add(BundleName::Rows(number), rows.to_string().as_bytes())?;
            }
        }
        if let Some((beat, proof)) = &self.heartbeat {
            add(BundleName::Heartbeat, beat.to_string().as_bytes())?;
            add(BundleName::HeartbeatProof, proof.to_string().as_bytes())?;
        }
        for (digest, body) in &self.bodies {
            add(BundleName::Body(*digest), body)?;
        }
        for (digest, text) in &self.schemas {
            add(BundleName::Schema(*digest), text)?;
        }
        zip.finish()
    }
}
