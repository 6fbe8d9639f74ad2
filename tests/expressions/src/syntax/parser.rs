//! Lexemes to a tree: what all parts of the parser share, and the entry points.

use std::sync::Arc;

use super::lexer::{Lex, Lexeme, Lexer};
use super::tree::{
    NodeKind, Program, Signature, SignatureKind, SignatureParameter, TOO_DEEP, TypeName,
};
use crate::error::{Position, Refusal};

/// How deep the parser itself may go: an expression of one operand takes a few
/// steps down.
const MAX_NESTING: u16 = 128;

/// More lexemes than any document has; bounds the time that looking ahead takes.
const MAX_LEXEMES: usize = 50_000;

/// A parser somewhere in its lexemes.
pub(crate) struct Parser {
    pub(super) lexemes: Vec<Lex>,
    pub(super) at: usize,
    nesting: u16,
}

/// Parses `@(…)` or `@{…}`.
pub(crate) fn parse(source: &str) -> Result<Program, Refusal> {
    let start = source.len() - source.trim_start().len();
    let text = &source[start..];
    let block = text.starts_with("@{");
    if !block && !text.starts_with("@(") {
        return Err(Refusal::new(
            position(start),
            "An expression begins with @( or @{",
        ));
    }
    let mut parser = Parser::of(source, start + 1)?;
    let program = if block {
        Program::Block(parser.block()?)
    } else {
        parser.expect("(")?;
        let node = parser.expression()?;
        parser.expect(")")?;
        Program::Expression(node)
    };
    match parser.peek() {
        Lexeme::End => Ok(program),
        _ => parser.refuse("Unexpected characters after the end of the expression"),
    }
}

fn position(at: usize) -> Position {
    Position(u32::try_from(at).unwrap_or(u32::MAX))
}

/// Parses a signature of the tables of members.
pub(crate) fn parse_signature(text: &str) -> Result<Signature, Refusal> {
    let mut parser = Parser::of(text, 0)?;
    let signature = parser.signature()?;
    match parser.peek() {
        Lexeme::End => Ok(signature),
        _ => parser.refuse("unexpected behind a signature"),
    }
}

impl Parser {
    pub(crate) fn of(source: &str, at: usize) -> Result<Self, Refusal> {
        let mut lexer = Lexer::new(source, at);
        let mut lexemes = Vec::new();
        loop {
            let lex = lexer.next()?;
            let end = matches!(lex.lexeme, Lexeme::End);
            if lexemes.len() == MAX_LEXEMES {
                return Err(Refusal::new(lex.at, TOO_DEEP));
            }
            lexemes.push(lex);
            if end {
                return Ok(Self {
                    lexemes,
                    at: 0,
                    nesting: 0,
                });
            }
        }
    }

    /// A parser of a part of a string, one step deeper than this one.
    pub(super) fn within(&self, mut lexemes: Vec<Lex>, end: Position) -> Self {
        lexemes.push(Lex {
            lexeme: Lexeme::End,
            at: end,
        });
        Self {
            lexemes,
            at: 0,
            nesting: self.nesting,
        }
    }

    pub(super) fn peek(&self) -> &Lexeme {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> &Lexeme {
        let last = self.lexemes.len() - 1;
        &self.lexemes[(self.at + by).min(last)].lexeme
    }

    pub(super) fn position(&self) -> Position {
        let last = self.lexemes.len() - 1;
        self.lexemes[self.at.min(last)].at
    }

    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.lexemes.len() - 1);
    }

    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.position(), message))
    }

    pub(super) fn at_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Lexeme::Symbol(found) if *found == symbol)
    }

    pub(super) fn ahead_symbol(&self, by: usize, symbol: &str) -> bool {
        matches!(self.ahead(by), Lexeme::Symbol(found) if *found == symbol)
    }

    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), Refusal> {
        if self.take(symbol) {
            return Ok(());
        }
        self.refuse(format!("{symbol} expected"))
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Lexeme::Identifier(found) if &**found == word)
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// An identifier that is no keyword.
    pub(super) fn identifier(&mut self) -> Result<Arc<str>, Refusal> {
        match self.peek() {
            Lexeme::Identifier(name) if !is_keyword(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => self.refuse("Identifier expected"),
        }
    }

    /// Runs a part of the parser one step deeper.
    pub(super) fn deeper<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if self.nesting == MAX_NESTING {
            return self.refuse(TOO_DEEP);
        }
        self.nesting += 1;
        let result = part(self);
        self.nesting -= 1;
        result
    }

    /// `[static] type Name`, `… Name<T>(parameters)` or `new(parameters)`.
    fn signature(&mut self) -> Result<Signature, Refusal> {
        let is_static = self.take_word("static");
        let at = self.position();
        if self.at_word("new") {
            self.advance();
            return Ok(Signature {
                is_static: true,
                kind: SignatureKind::Constructor,
                name: ".ctor".into(),
                result: TypeName::simple(at, "void"),
                type_parameters: Vec::new(),
                parameters: self.signature_parameters(")")?.0,
            });
        }
        let result = self.type_name()?;
        if self.take_word("this") {
            return Ok(Signature {
                is_static,
                kind: SignatureKind::Method,
                name: "get_Item".into(),
                result,
                type_parameters: Vec::new(),
                parameters: self.signature_parameters("]")?.0,
            });
        }
        let name = self.identifier()?;
        let mut type_parameters = Vec::new();
        if self.take("<") {
            loop {
                type_parameters.push(self.identifier()?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(">")?;
        }
        if !self.at_symbol("(") {
            return Ok(Signature {
                is_static,
                kind: SignatureKind::Property,
                name,
                result,
                type_parameters,
                parameters: Vec::new(),
            });
        }
        let (parameters, extends) = self.signature_parameters(")")?;
        Ok(Signature {
            is_static,
            kind: if extends {
                SignatureKind::Extension
            } else {
                SignatureKind::Method
            },
            name,
            result,
            type_parameters,
            parameters,
        })
    }

    fn signature_parameters(
        &mut self,
        end: &str,
    ) -> Result<(Vec<SignatureParameter>, bool), Refusal> {
        self.advance();
        let extends = self.take_word("this");
        let mut parameters = Vec::new();
        while !self.take(end) {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            let is_out = self.take_word("out");
            let is_params = self.take_word("params");
            let kind = self.type_name()?;
            let name = self.identifier()?;
            let default = if self.take("=") {
                match self.unary()?.kind {
                    NodeKind::Literal(value) => Some(value),
                    _ => return self.refuse("a default value is a literal"),
                }
            } else {
                None
            };
            parameters.push(SignatureParameter {
                name,
                kind,
                is_out,
                is_params,
                default,
            });
        }
        Ok((parameters, extends))
    }
}

/// The keywords of C# that cannot be names.
pub(super) fn is_keyword(word: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "abstract",
        "as",
        "base",
        "bool",
        "break",
        "byte",
        "case",
        "catch",
        "char",
        "checked",
        "class",
        "const",
        "continue",
        "decimal",
        "default",
        "delegate",
        "do",
        "double",
        "else",
        "enum",
        "event",
        "explicit",
        "extern",
        "false",
        "finally",
        "fixed",
        "float",
        "for",
        "foreach",
        "goto",
        "if",
        "implicit",
        "in",
        "int",
        "interface",
        "internal",
        "is",
        "lock",
        "long",
        "namespace",
        "new",
        "null",
        "object",
        "operator",
        "out",
        "override",
        "params",
        "private",
        "protected",
        "public",
        "readonly",
        "ref",
        "return",
        "sbyte",
        "sealed",
        "short",
        "sizeof",
        "stackalloc",
        "static",
        "string",
        "struct",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "uint",
        "ulong",
        "unchecked",
        "unsafe",
        "ushort",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
    ];
    KEYWORDS.binary_search(&word).is_ok()
}

/// The keywords that are types.
pub(super) fn is_type_keyword(word: &str) -> bool {
    matches!(
        word,
        "bool"
            | "byte"
            | "char"
            | "decimal"
            | "double"
            | "float"
            | "int"
            | "long"
            | "object"
            | "sbyte"
            | "short"
            | "string"
            | "uint"
            | "ulong"
            | "ushort"
            | "void"
    )
}
