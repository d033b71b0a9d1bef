//! Finds the start tags of an HTML page with their attributes, and the text of the page's style
//! sheets. The nesting of elements is ignored.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer,
};

/// A start tag of an HTML element, such as `<a href="contract.html">`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    /// The tag's name, in lower case.
    pub name: String,
    /// Names, in lower case, and values of the attributes, with entities resolved.
    pub attributes: Vec<(String, String)>,
    /// The text inside a `<style>` element; empty for the tags of all other elements.
    pub text: String,
}

impl Tag {
    /// Returns the value of the attribute `name`, if the tag has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Returns all start tags of an HTML page, except those inside comments and scripts.
pub(super) fn tags(page: &str) -> Vec<Tag> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(page));
    let tokenizer = Tokenizer::new(Tags::default(), Default::default());
    let _ = tokenizer.feed(&input); // `Tags` never asks to run a script
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

#[derive(Default)]
struct Tags(RefCell<Vec<Tag>>);

impl TokenSink for Tags {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut tags = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                let name = tag.name.to_string();
                let raw = match name.as_str() {
                    "script" => Some(RawKind::ScriptData),
                    "style" => Some(RawKind::Rawtext),
                    _ => None,
                };
                let attributes = tag.attrs.iter();
                let attributes = attributes
                    .map(|one| (one.name.local.to_string(), one.value.to_string()));
                tags.push(Tag {
                    name,
                    attributes: attributes.collect(),
                    ..Tag::default()
                });
                raw.map_or(TokenSinkResult::Continue, TokenSinkResult::RawData)
            }
            Token::CharacterTokens(text) => {
                if let Some(style) = tags.last_mut().filter(|tag| tag.name == "style") {
                    style.text += &text;
                }
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_with_all_kinds_of_attributes() {
        let found = tags(
            "<a href='x?a&amp;b' b=\"c>d\" e=f g>text</a><br/><!-- <a> --><script>'<b>'</script><style>p{}</style>",
        );
        let names: Vec<_> = found.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(names, ["a", "br", "script", "style"]);
        assert_eq!(found[0].get("href"), Some("x?a&b"));
        assert_eq!(found[0].get("b"), Some("c>d"));
        assert_eq!(found[0].get("e"), Some("f"));
        assert_eq!(found[0].get("g"), Some(""));
        assert_eq!(found[3].text, "p{}");
    }
}
