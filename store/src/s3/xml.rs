//! CORE: the XML that S3 servers answer with, as a tree of elements and their texts. Attributes are passed over.
//!
//! Answers are bounded before they come here, and here in depth and number: a server is not trusted to be one.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

const DEPTH_MAX: usize = 16;
/// A page of a listing has 1,000 entries of a dozen elements.
const ELEMENTS_MAX: usize = 50_000;

/// An element: its name without a namespace's prefix, the text in it, and the elements in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// The root of a document; `None` where it is not XML, or larger than any answer.
    pub(super) fn parse(document: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_reader(document);
        let (mut open, mut count) = (vec![Self::default()], 0);
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => open.push(Self::named(start.local_name().as_ref())),
                Event::Empty(start) => {
                    let child = Self::named(start.local_name().as_ref());
                    open.last_mut()?.children.push(child);
                }
                Event::End(_) => {
                    let child = open.pop()?;
                    open.last_mut()?.children.push(child);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content().ok()?),
                Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content().ok()?),
                Event::GeneralRef(entity) => match entity.resolve_char_ref().ok()? {
                    Some(character) => open.last_mut()?.text.push(character),
                    None => {
                        let text = resolve_xml_entity(&entity.decode().ok()?)?;
                        open.last_mut()?.text.push_str(text);
                    }
                },
                Event::Eof => break,
                Event::DocType(_) => return None,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
            count += 1;
            if open.len() > DEPTH_MAX || count > ELEMENTS_MAX {
                return None;
            }
        }
        let [document] = <[Self; 1]>::try_from(open).ok()?;
        document.children.into_iter().next()
    }

    fn named(name: &[u8]) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), ..Self::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn children(&self) -> &[Self] {
        &self.children
    }

    /// The first element of this name in it.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first element of this name in it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// The text of the first element of this name in it, to the last blank: a key may begin or end with one.
    pub(super) fn exact(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_texts_and_entities_are_read_and_attributes_passed_over() {
        let document = br#"<?xml version="1.0"?>
            <Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code> AccessDenied </Code>
            <Message>a &lt;b&gt; &amp; &#99;<![CDATA[<d>]]></Message><s3:Empty/></Error>"#;
        let error = Element::parse(document).unwrap();
        assert_eq!(error.name(), "Error");
        assert_eq!(error.text("Code"), Some("AccessDenied"));
        assert_eq!(error.exact("Code"), Some(" AccessDenied "));
        assert_eq!(error.text("Message"), Some("a <b> & c<d>"));
        assert_eq!(error.text("Empty"), Some(""));
        assert_eq!(error.text("Resource"), None);
    }

    #[test]
    fn what_is_not_an_answer_is_refused() {
        let deep = format!("{}x{}", "<a>".repeat(64), "</a>".repeat(64));
        let many = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX));
        let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>";
        for document in ["", "no", "<a>", "</a>", "<a></b>", "<a>&b;</a>", &deep, &many, bomb] {
            assert_eq!(Element::parse(document.as_bytes()), None, "{document:.40}");
        }
    }
}
