//! Just enough HTML for our own pages, which a machine wrote: their tags with
//! their attributes, the style sheets among them, nothing of their nesting.

/// One start tag.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, in lower case.
    pub name: String,
    /// Its attributes, entities resolved.
    pub attributes: Vec<(String, String)>,
    /// What is in it, for `<style>`; empty for all others.
    pub text: String,
}

impl Tag {
    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All start tags of a page. What is in comments and scripts is none.
pub fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end..]);
            continue;
        }
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let (mut tag, behind) = tag(rest);
        rest = behind;
        if matches!(tag.name.as_str(), "script" | "style") {
            let end = rest.find(&format!("</{}", tag.name)).unwrap_or(rest.len());
            if tag.name == "style" {
                rest[..end].clone_into(&mut tag.text);
            }
            rest = &rest[end..];
        }
        tags.push(tag);
    }
    tags
}

/// The tag whose name `text` starts with, and what is behind it.
fn tag(text: &str) -> (Tag, &str) {
    let end = text
        .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
        .unwrap_or(text.len());
    let mut tag = Tag {
        name: text[..end].to_ascii_lowercase(),
        attributes: Vec::new(),
        text: String::new(),
    };
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let Some(first) = rest.chars().next() else {
            return (tag, rest);
        };
        if first == '>' {
            return (tag, &rest[1..]);
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || "=>/".contains(c))
            .unwrap_or(rest.len())
            .max(first.len_utf8());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(behind) = rest.strip_prefix('=') {
            let behind = behind.trim_start();
            (value, rest) = match behind.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    behind[1..].split_once(quote).unwrap_or((&behind[1..], ""))
                }
                _ => behind.split_at(
                    behind
                        .find(|c: char| c.is_whitespace() || c == '>')
                        .unwrap_or(behind.len()),
                ),
            };
        }
        tag.attributes.push((name, plain(value)));
    }
}

fn plain(value: &str) -> String {
    value
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
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

    #[test]
    fn broken_html_ends_too() {
        for page in ["<", "<a", "<a b", "<a b=", "<a b='", "<script>", "<!--", "<a ==>"] {
            tags(page);
        }
    }
}
