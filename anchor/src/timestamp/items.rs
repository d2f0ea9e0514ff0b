//! DER taken apart: values one after another, each with the bytes that it stood in.
//!
//! It does not go into a value unless asked to, so nothing here recurses.

use der::asn1::ObjectIdentifier;
use der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, TagNumber};

use super::refusal::WhyNot;

/// `[number]`, holding other values.
pub(super) const fn context(number: TagNumber) -> Tag {
    Tag::ContextSpecific { constructed: true, number }
}

/// `[number] IMPLICIT` of a value that holds no others.
pub(super) const fn context_primitive(number: TagNumber) -> Tag {
    Tag::ContextSpecific { constructed: false, number }
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) tag: Tag,
    /// Its contents.
    pub(super) value: &'a [u8],
    /// All of it, tag and length included.
    pub(super) raw: &'a [u8],
    place: &'static str,
}

impl<'a> Item<'a> {
    /// The values that it holds.
    pub(super) fn items(self) -> Result<Items<'a>, WhyNot> {
        Items::new(self.value, self.place)
    }

    /// The one value that it holds.
    pub(super) fn only(self) -> Result<Self, WhyNot> {
        let mut items = self.items()?;
        let only = items.next()?;
        items.end().map(|()| only)
    }

    pub(super) fn oid(self) -> Result<ObjectIdentifier, WhyNot> {
        let any = AnyRef::new(Tag::ObjectIdentifier, self.value);
        any.and_then(AnyRef::decode_as).map_err(|_| self.malformed())
    }

    /// A number that fits, whatever its tag is.
    pub(super) fn number(self) -> Result<u32, WhyNot> {
        let any = AnyRef::new(Tag::Integer, self.value);
        any.and_then(AnyRef::decode_as).map_err(|_| self.malformed())
    }

    /// The object identifier of an algorithm that takes no parameters.
    pub(super) fn algorithm(self) -> Result<ObjectIdentifier, WhyNot> {
        let (oid, parameters) = self.algorithm_with_parameters()?;
        match parameters {
            None => Ok(oid),
            Some(item) if item.tag == Tag::Null && item.value.is_empty() => Ok(oid),
            Some(_) => Err(self.malformed()),
        }
    }

    pub(super) fn algorithm_with_parameters(
        self,
    ) -> Result<(ObjectIdentifier, Option<Self>), WhyNot> {
        let mut items = self.items()?;
        let oid = items.expect(Tag::ObjectIdentifier)?.oid()?;
        let parameters = items.more()?;
        items.end().map(|()| (oid, parameters))
    }

    pub(super) fn malformed(self) -> WhyNot {
        WhyNot::Malformed { place: self.place }
    }
}

/// Values that are still to be taken, all of them in `place`.
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    rest: SliceReader<'a>,
    place: &'static str,
}

impl<'a> Items<'a> {
    pub(super) fn new(bytes: &'a [u8], place: &'static str) -> Result<Self, WhyNot> {
        let rest = SliceReader::new(bytes).map_err(|_| WhyNot::Malformed { place })?;
        Ok(Self { rest, place })
    }

    /// The values of the one SEQUENCE that `bytes` are.
    pub(super) fn sequence(bytes: &'a [u8], place: &'static str) -> Result<Self, WhyNot> {
        let mut outer = Self::new(bytes, place)?;
        let items = outer.expect(Tag::Sequence)?.items()?;
        outer.end().map(|()| items)
    }

    /// The next value, which must be there.
    pub(super) fn next(&mut self) -> Result<Item<'a>, WhyNot> {
        let malformed = |_| WhyNot::Malformed { place: self.place };
        let raw = self.rest.tlv_bytes().map_err(malformed)?;
        let any = AnyRef::from_der(raw).map_err(malformed)?;
        Ok(Item { tag: der::Tagged::tag(&any), value: any.value(), raw, place: self.place })
    }

    /// The next value, which must be there and have this tag.
    pub(super) fn expect(&mut self, tag: Tag) -> Result<Item<'a>, WhyNot> {
        let item = self.next()?;
        if item.tag == tag { Ok(item) } else { Err(item.malformed()) }
    }

    /// The next value if there is one and it has this tag.
    pub(super) fn optional(&mut self, tag: Tag) -> Result<Option<Item<'a>>, WhyNot> {
        let here = !self.rest.is_finished() && self.rest.peek_tag() == Ok(tag);
        here.then(|| self.next()).transpose()
    }

    /// The next value, if there is one.
    pub(super) fn more(&mut self) -> Result<Option<Item<'a>>, WhyNot> {
        (!self.rest.is_finished()).then(|| self.next()).transpose()
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<(), WhyNot> {
        let place = self.place;
        if self.rest.is_finished() { Ok(()) } else { Err(WhyNot::Malformed { place }) }
    }
}
