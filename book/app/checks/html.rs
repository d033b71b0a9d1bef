//! The tags of our own pages with their attributes, the style sheets among them, and nothing
//! of their nesting.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer,
};

/// One start tag.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    /// Its name, in lower case.
    pub name: String,
    /// Its attributes, their names in lower case, entities resolved.
    pub attributes: Vec<(String, String)>,
    /// What is in it, for `<style>`; empty for all others.
    pub text: String,
}

impl Tag {
    /// Returns the value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Returns all start tags of a page. Those in comments and scripts do not count.
pub(super) fn tags(page: &str) -> Vec<Tag> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(page));
    let tokenizer = Tokenizer::new(Tags::default(), Default::default());
    let _ = tokenizer.feed(&input); // it never asks for a script to be run
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
