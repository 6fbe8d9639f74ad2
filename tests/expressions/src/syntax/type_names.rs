//! Types as they are written.

use super::lexer::Lexeme;
use super::parser::{Parser, is_keyword, is_type_keyword};
use super::tree::TypeName;
use crate::error::{Position, Refusal};

impl TypeName {
    pub(crate) fn simple(at: Position, name: &str) -> Self {
        Self {
            at,
            name: name.into(),
            arguments: Vec::new(),
            suffixes: Vec::new(),
        }
    }
}

impl Parser {
    /// `int`, `System.Text.Encoding`, `Dictionary<string, int>`, `string[]`, `int?`.
    pub(super) fn type_name(&mut self) -> Result<TypeName, Refusal> {
        let mut name = self.type_without_ranks()?;
        while self.at_symbol("[") && self.ahead_symbol(1, "]") {
            self.advance();
            self.advance();
            name.suffixes.push(Some(()));
        }
        Ok(name)
    }

    /// As [`Self::type_name`], without the brackets of arrays.
    pub(super) fn type_without_ranks(&mut self) -> Result<TypeName, Refusal> {
        self.deeper(Self::plain_type)
    }

    fn plain_type(&mut self) -> Result<TypeName, Refusal> {
        let at = self.position();
        let mut name = self.type_word()?.to_string();
        let mut arguments = Vec::new();
        if !is_type_keyword(&name) {
            loop {
                if self.at_symbol("<") {
                    arguments = self.type_arguments()?;
                    break;
                }
                if !(self.at_symbol(".") || self.at_symbol("::")) {
                    break;
                }
                self.advance();
                name.push('.');
                name.push_str(&self.identifier()?);
            }
        }
        let mut suffixes = Vec::new();
        if self.take("?") {
            suffixes.push(None);
        }
        Ok(TypeName {
            at,
            name: name.into(),
            arguments,
            suffixes,
        })
    }

    fn type_word(&mut self) -> Result<std::sync::Arc<str>, Refusal> {
        match self.peek() {
            Lexeme::Identifier(word) if is_type_keyword(word) || !is_keyword(word) => {
                let word = word.clone();
                self.advance();
                Ok(word)
            }
            _ => self.refuse("Type expected"),
        }
    }

    /// `<A, B>`.
    pub(super) fn type_arguments(&mut self) -> Result<Vec<TypeName>, Refusal> {
        self.expect("<")?;
        let mut arguments = vec![self.type_name()?];
        while self.take(",") {
            arguments.push(self.type_name()?);
        }
        self.expect(">")?;
        Ok(arguments)
    }

    /// Tries a part; where it fails, the parser stays where it was.
    pub(super) fn attempt<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Option<T> {
        let start = self.at;
        let result = part(self).ok();
        if result.is_none() {
            self.at = start;
        }
        result
    }
}
