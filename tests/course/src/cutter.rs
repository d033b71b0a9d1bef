//! Cuts holes into Rust sources: replaces the bodies of functions, and leaves every other byte as
//! it is.
//!
//! A function is addressed as `function`, `Type::method` or `<Type as Trait>::method`.
//! Several functions may have one address if each is compiled under another `cfg`: all
//! of them are found, or, with `@WORD` after the address, only the functions whose
//! `cfg` contains the word and no `not`.

use std::ops::Range;

use syn::{Attribute, Block, File, ImplItem, Item, ReturnType, Signature, Type};

/// A function found in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The byte range of the function in the source, without attributes and
    /// documentation.
    pub whole: Range<usize>,
    /// The byte range of the function's body in the source, with its braces.
    pub body: Range<usize>,
}

/// Returns the functions at an address, in the order of the source.
///
/// # Errors
///
/// Fails if the source is not valid Rust, if no function has this address, or if a
/// function with this address cannot have a hole: it is `const` or naked, has an ABI
/// such as `extern "C"`, or returns `impl Trait`.
pub fn find(source: &str, address: &str) -> Result<Vec<Function>, String> {
    search(source, &parse(source)?, address)
}

fn parse(source: &str) -> Result<File, String> {
    syn::parse_file(source).map_err(|error| {
        let start = error.span().start();
        format!("line {}, column {}: {error}", start.line, start.column + 1)
    })
}

fn search(source: &str, file: &File, address: &str) -> Result<Vec<Function>, String> {
    let (path, word) = address.split_once('@').unwrap_or((address, ""));
    let mut search = Search { source, path, word, found: Vec::new() };
    search.items(&file.items, "")?;
    if search.found.is_empty() {
        return Err(format!("there is no function {address}"));
    }
    Ok(search.found)
}

/// Returns the source with the bodies of some functions replaced. Each of `bodies` is a
/// function's address and its new body without braces. The new body is indented like
/// the old one.
///
/// # Errors
///
/// Fails as [`find`] does for each address.
pub fn fill(source: &str, bodies: &[(&str, String)]) -> Result<String, String> {
    if bodies.is_empty() {
        return Ok(source.to_owned());
    }
    let (file, mut edits) = (parse(source)?, Vec::new());
    for (address, body) in bodies {
        for function in search(source, &file, address)? {
            edits.push((function.body, body));
        }
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut filled = source.to_owned();
    for (range, body) in edits.into_iter().rev() {
        let outer = indentation(source, range.start);
        let inner = indent(body, outer + 4);
        filled.replace_range(range, &format!("{{\n{inner}{:outer$}}}", ""));
    }
    Ok(filled)
}

/// Returns a source without its `ANCHOR` comments, which only the book needs.
pub fn strip_anchors(source: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut stripped = false;
    for line in source.lines() {
        if line.trim_start().starts_with("// ANCHOR") {
            stripped = true;
            continue;
        }
        match (kept.last().map(|last| last.trim()), line.trim()) {
            // Drops empty lines at the beginning of the source, and all but one of
            // several empty lines in a row.
            (None | Some(""), "") => {}
            (Some("}"), text) if stripped && !matches!(text, "" | "}") => {
                kept.extend(["", line]);
            }
            _ => kept.push(line),
        }
        stripped = false;
    }
    while kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    kept.join("\n") + "\n"
}

/// Returns the first half of the lines of a function's body, without the braces and
/// without empty lines. The middle line of an odd number of lines is included.
pub fn first_half(body: &str) -> String {
    let inner = body.trim().trim_start_matches('{').trim_end_matches('}');
    let lines: Vec<_> = inner.lines().filter(|line| !line.trim().is_empty()).collect();
    indent(&lines[..lines.len().div_ceil(2)].join("\n"), 4)
}

/// Indents a text, all lines by the same number of spaces, so that its least indented
/// line begins after `width` spaces.
fn indent(text: &str, width: usize) -> String {
    let full = || text.lines().filter(|line| !line.trim().is_empty());
    let least =
        full().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let lines =
        text.trim_matches('\n').lines().map(|line| match line.trim().is_empty() {
            true => "\n".to_owned(),
            false => format!("{:width$}{}\n", "", &line[least..].trim_end()),
        });
    lines.collect()
}

/// Returns the indentation, in spaces, of the line that contains the byte at the index
/// `at`.
fn indentation(source: &str, at: usize) -> usize {
    let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    // A function's body may begin on the last line of a long signature. The last line
    // of a signature is indented like its first line, so the indentation found is the
    // function's.
    source[start..].len() - source[start..].trim_start_matches(' ').len()
}

struct Search<'a> {
    source: &'a str,
    path: &'a str,
    word: &'a str,
    found: Vec<Function>,
}

impl Search<'_> {
    /// Adds each function of `items` whose name is `path` to `found`. The items are
    /// compiled under the conditions `cfg`. Fails if such a function cannot have a hole.
    fn items(&mut self, items: &[Item], cfg: &str) -> Result<(), String> {
        for item in items {
            match item {
                Item::Fn(item) => {
                    let name = item.sig.ident.to_string();
                    self.function(&name, &item.attrs, &item.sig, &item.block, cfg)?;
                }
                Item::Impl(item) => {
                    let cfg = conditions(cfg, &item.attrs);
                    let of = type_name(&item.self_ty);
                    let scope = match &item.trait_ {
                        Some((_, path, _)) => {
                            let last = path.segments.last();
                            format!(
                                "<{of} as {}>",
                                last.map_or(String::new(), |s| s.ident.to_string())
                            )
                        }
                        None => of,
                    };
                    for member in &item.items {
                        let ImplItem::Fn(member) = member else { continue };
                        let name = format!("{scope}::{}", member.sig.ident);
                        let (attributes, block) = (&member.attrs, &member.block);
                        self.function(&name, attributes, &member.sig, block, &cfg)?;
                    }
                }
                Item::Mod(item) => {
                    let cfg = conditions(cfg, &item.attrs);
                    if let Some((_, items)) = &item.content
                        && !cfg.contains("test")
                    {
                        self.items(items, &cfg)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn function(
        &mut self,
        name: &str,
        attributes: &[Attribute],
        signature: &Signature,
        block: &Block,
        cfg: &str,
    ) -> Result<(), String> {
        let cfg = conditions(cfg, attributes);
        let is_meant =
            self.word.is_empty() || (cfg.contains(self.word) && !cfg.contains("not"));
        if name != self.path || !is_meant {
            return Ok(());
        }
        if let Some(why) = forbids_hole(attributes, signature) {
            return Err(format!("{name} cannot have a hole: {why}"));
        }
        let body = block.brace_token.span;
        let body = body.open().byte_range().start..body.close().byte_range().end;
        // rustfmt keeps a function's visibility and qualifiers, such as `unsafe`, on
        // the line of `fn`, so the function begins at the first character of that line
        // that is not a space.
        let keyword = signature.fn_token.span.byte_range().start;
        let line = self.source[..keyword].rfind('\n').map_or(0, |newline| newline + 1);
        let start = line + indentation(self.source, line);
        self.found.push(Function { whole: start..body.end, body });
        Ok(())
    }
}

/// Returns the reason why a function cannot have a hole, or `None` if it can have one.
fn forbids_hole(attributes: &[Attribute], signature: &Signature) -> Option<&'static str> {
    let is_naked = |attribute: &Attribute| tokens(attribute).contains("naked");
    if attributes.iter().any(is_naked) {
        return Some("it is naked, so its body is assembly");
    }
    if signature.abi.is_some() {
        return Some(
            "it is called by code that is not Rust, into which nothing may unwind",
        );
    }
    if signature.constness.is_some() {
        return Some("it is const, so it is evaluated by the compiler");
    }
    if let ReturnType::Type(_, returned) = &signature.output
        && matches!(**returned, Type::ImplTrait(_))
    {
        return Some("the body decides which type `impl Trait` is");
    }
    None
}

/// Returns the `cfg` conditions among the attributes of an item, preceded by `around`,
/// the conditions of the items that contain the item.
fn conditions(around: &str, attributes: &[Attribute]) -> String {
    let own = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    own.fold(around.to_owned(), |all, attribute| format!("{all} {}", tokens(attribute)))
}

fn tokens(attribute: &Attribute) -> String {
    match &attribute.meta {
        syn::Meta::Path(path) => {
            path.get_ident().map_or(String::new(), ToString::to_string)
        }
        syn::Meta::List(list) => list.tokens.to_string(),
        syn::Meta::NameValue(_) => String::new(),
    }
}

/// Returns the name of a type without its generic parameters; an empty text for a type
/// without a name, such as a tuple.
fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => {
            path.path.segments.last().map_or(String::new(), |last| last.ident.to_string())
        }
        Type::Reference(reference) => format!("&{}", type_name(&reference.elem)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"//! A file.
use std::io; // unused when the hole is open

// ANCHOR: all
/// A function with a doc comment.
pub fn free(a: u32) -> u32 {
    a + 1
}

struct Pair<T>(T);

// ANCHOR_END: all
// ANCHOR: more
impl<T> Pair<T> {
    fn get(
        &self,
    ) -> &T {
        // A brace in a string: "{"
        let _ = "}";
        &self.0
    }
}
// ANCHOR_END: more
impl<T: io::Read> io::Read for Pair<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

#[cfg(target_arch = "x86_64")]
fn twin() -> u8 { 1 }

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn twin() -> u8 { 3 }

#[cfg(target_arch = "aarch64")]
mod arm {
    fn twin() -> u8 { 2 }
}

fn lazy() -> impl Iterator<Item = u8> { [].into_iter() }
extern "C" fn handler() {}
#[unsafe(naked)]
fn switch() {}

#[cfg(test)]
mod tests {
    fn twin() {}
}
"#;

    fn body(address: &str) -> Vec<&'static str> {
        find(SOURCE, address)
            .unwrap_or_default()
            .into_iter()
            .map(|f| &SOURCE[f.body])
            .collect()
    }

    #[test]
    fn functions_are_found_by_their_address() {
        assert_eq!(body("free"), ["{\n    a + 1\n}"]);
        assert!(body("Pair::get")[0].ends_with("&self.0\n    }"));
        assert!(body("<Pair as Read>::read")[0].contains("self.0.read(buffer)"));
        let free = find(SOURCE, "free").unwrap_or_default();
        assert!(SOURCE[free[0].whole.clone()].starts_with("pub fn free"));
        let absent = find(SOURCE, "Pair::read");
        assert_eq!(absent, Err("there is no function Pair::read".to_owned()));
    }

    #[test]
    fn twins_are_found_together_or_by_their_cfg() {
        assert_eq!(body("twin"), ["{ 1 }", "{ 3 }", "{ 2 }"]);
        assert_eq!(body("twin@aarch64"), ["{ 2 }"]);
    }

    #[test]
    fn some_functions_cannot_have_a_hole() {
        for (address, why) in
            [("lazy", "impl Trait"), ("handler", "unwind"), ("switch", "naked")]
        {
            let error = find(SOURCE, address).err().unwrap_or_default();
            assert!(error.contains(why), "{error}");
        }
        let error = find("fn (", "a").err().unwrap_or_default();
        assert!(error.starts_with("line 1"), "{error}");
    }

    #[test]
    fn a_body_is_replaced_and_nothing_else() {
        let bodies = [
            ("free", "todo!()".to_owned()),
            ("Pair::get", "\n  if a {\n    b\n  }\n".to_owned()),
        ];
        let filled = fill(SOURCE, &bodies).unwrap_or_default();
        assert!(filled.contains("pub fn free(a: u32) -> u32 {\n    todo!()\n}\n"));
        assert!(
            filled
                .contains(") -> &T {\n        if a {\n          b\n        }\n    }\n}")
        );
        assert_eq!(filled.lines().next(), SOURCE.lines().next());
        let rest = SOURCE.find("impl<T: io::Read>").unwrap_or_default();
        assert!(filled.ends_with(&SOURCE[rest..]));
    }

    #[test]
    fn anchors_leave_no_trace() {
        let stripped = strip_anchors(SOURCE);
        assert!(!stripped.contains("ANCHOR"));
        assert!(!stripped.contains("\n\n\n"));
        assert!(stripped.contains("struct Pair<T>(T);\n\nimpl<T> Pair<T> {"));
        assert!(stripped.contains("}\n\nimpl<T: io::Read>"));
        assert_eq!(strip_anchors("// ANCHOR: a\n//! x\n// ANCHOR_END: a\n"), "//! x\n");
    }

    #[test]
    fn half_of_a_body_is_its_first_half() {
        assert_eq!(
            first_half("{\n        a;\n        if b {\n            c\n        }\n    }"),
            "    a;\n    if b {\n"
        );
    }
}
