//! Statements.

use std::sync::Arc;

use super::lexer::Lexeme;
use super::parser::{Parser, is_keyword, is_type_keyword};
use super::tree::{
    Body, Catch, LocalFunction, Node, NodeKind, Parameter, Statement, StatementKind, TypeName,
};
use crate::error::Refusal;

impl Parser {
    /// `{ statements }`.
    pub(super) fn block(&mut self) -> Result<Vec<Statement>, Refusal> {
        self.expect("{")?;
        let mut statements = Vec::new();
        while !self.take("}") {
            if matches!(self.peek(), Lexeme::End) {
                return self.refuse("} expected");
            }
            statements.push(self.statement()?);
        }
        Ok(statements)
    }

    fn statement(&mut self) -> Result<Statement, Refusal> {
        self.deeper(Self::any_statement)
    }

    fn boxed(&mut self) -> Result<Box<Statement>, Refusal> {
        self.statement().map(Box::new)
    }

    fn any_statement(&mut self) -> Result<Statement, Refusal> {
        let at = self.position();
        let kind = match self.peek().clone() {
            Lexeme::Symbol("{") => StatementKind::Block(self.block()?),
            Lexeme::Symbol(";") => {
                self.advance();
                StatementKind::Block(Vec::new())
            }
            Lexeme::Identifier(word) => match self.keyword_statement(&word)? {
                Some(kind) => kind,
                None => self.simple_statement()?,
            },
            _ => self.simple_statement()?,
        };
        Ok(Statement { at, kind })
    }

    fn keyword_statement(&mut self, word: &str) -> Result<Option<StatementKind>, Refusal> {
        match word {
            "if" | "while" | "do" | "for" | "foreach" | "switch" | "return" | "break"
            | "continue" | "try" | "throw" | "unchecked" => self.advance(),
            "const" => {
                self.advance();
                return Ok(None);
            }
            "using" | "lock" | "goto" | "checked" | "yield" | "fixed" | "unsafe" => {
                // `yield` is a name where it is not followed by return.
                if word == "yield" && !matches!(self.ahead(1), Lexeme::Identifier(_)) {
                    return Ok(None);
                }
                return self.refuse(format!("The statement '{word}' is not known here"));
            }
            _ => return Ok(None),
        }
        Ok(Some(match word {
            "if" => {
                let condition = self.parenthesized()?;
                let yes = self.boxed()?;
                let no = if self.take_word("else") {
                    Some(self.boxed()?)
                } else {
                    None
                };
                StatementKind::If(condition, yes, no)
            }
            "while" => StatementKind::While(self.parenthesized()?, self.boxed()?),
            "do" => {
                let body = self.boxed()?;
                if !self.take_word("while") {
                    return self.refuse("Syntax error, 'while' expected");
                }
                let condition = self.parenthesized()?;
                self.expect(";")?;
                StatementKind::DoWhile(body, condition)
            }
            "for" => self.for_statement()?,
            "foreach" => self.foreach_statement()?,
            "switch" => self.switch_statement()?,
            "return" | "throw" => {
                let value = if self.at_symbol(";") {
                    None
                } else {
                    Some(self.expression()?)
                };
                self.expect(";")?;
                if word == "return" {
                    StatementKind::Return(value)
                } else {
                    StatementKind::Throw(value)
                }
            }
            "break" | "continue" => {
                self.expect(";")?;
                if word == "break" {
                    StatementKind::Break
                } else {
                    StatementKind::Continue
                }
            }
            "try" => self.try_statement()?,
            // Arithmetic is unchecked anyway.
            _ if self.at_symbol("{") => StatementKind::Block(self.block()?),
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        }))
    }

    fn parenthesized(&mut self) -> Result<Node, Refusal> {
        self.expect("(")?;
        let node = self.expression()?;
        self.expect(")")?;
        Ok(node)
    }

    /// A declaration or an expression, up to behind its semicolon.
    fn simple_statement(&mut self) -> Result<StatementKind, Refusal> {
        if let Some((kind, name)) = self.declaration() {
            if self.at_symbol("(") || self.at_symbol("<") {
                return self.local_function(kind, name);
            }
            let statement = self.local(kind, name)?;
            self.expect(";")?;
            return Ok(statement);
        }
        let node = self.expression()?;
        let statement = matches!(
            node.kind,
            NodeKind::Call(..)
                | NodeKind::Assign(..)
                | NodeKind::Step { .. }
                | NodeKind::New(..)
                | NodeKind::NullConditional(..)
        );
        if !statement {
            return Err(Refusal::new(
                node.at,
                "Only assignment, call, increment, decrement, await, and new object expressions can be used as a statement",
            ));
        }
        self.expect(";")?;
        Ok(StatementKind::Expression(node))
    }

    /// `T name` before `=`, `;`, `,`, `(` or `in`; `var` is `None`.
    fn declaration(&mut self) -> Option<(Option<TypeName>, Arc<str>)> {
        let names_type = matches!(self.peek(), Lexeme::Identifier(word) if is_type_keyword(word) || !is_keyword(word));
        if !names_type {
            return None;
        }
        self.attempt(|parser| {
            let kind = parser.type_name()?;
            let name = parser.identifier()?;
            let known = matches!(parser.peek(), Lexeme::Symbol("=" | ";" | "," | "(" | "<"))
                || parser.at_word("in");
            if !known {
                return parser.refuse("no declaration");
            }
            let is_var =
                &*kind.name == "var" && kind.arguments.is_empty() && kind.suffixes.is_empty();
            Ok(((!is_var).then_some(kind), name))
        })
    }

    fn local(&mut self, kind: Option<TypeName>, name: Arc<str>) -> Result<StatementKind, Refusal> {
        let mut variables = Vec::new();
        let mut name = name;
        loop {
            let value = if !self.take("=") {
                None
            } else if self.at_symbol("{") {
                Some(self.array_initializer(kind.as_ref())?)
            } else {
                Some(self.expression()?)
            };
            if value.is_none() && kind.is_none() {
                return self.refuse("Implicitly-typed variables must be initialized");
            }
            variables.push((name, value));
            if !self.take(",") {
                break;
            }
            name = self.identifier()?;
        }
        Ok(StatementKind::Local(kind, variables))
    }

    /// `string[] a = { … }`.
    fn array_initializer(&mut self, kind: Option<&TypeName>) -> Result<Node, Refusal> {
        let at = self.position();
        let mut element = match kind {
            Some(kind) if kind.suffixes.last() == Some(&Some(())) => kind.clone(),
            _ => {
                return self
                    .refuse("Can only use array initializer expressions to assign to array types");
            }
        };
        element.suffixes.pop();
        let (items, depth) = self.items()?;
        Node::above(
            at,
            NodeKind::NewArray(Some(element), None, Some(items)),
            depth,
        )
    }

    fn local_function(
        &mut self,
        result: Option<TypeName>,
        name: Arc<str>,
    ) -> Result<StatementKind, Refusal> {
        let Some(result) = result else {
            return self.refuse(
                "The contextual keyword 'var' may only appear within a local variable declaration",
            );
        };
        if self.at_symbol("<") {
            return self.refuse("Local functions with type parameters are not known here");
        }
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.take(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            let kind = Some(self.type_name()?);
            let name = self.identifier()?;
            if self.at_symbol("=") {
                return self.refuse("Optional parameters of local functions are not known here");
            }
            parameters.push(Parameter { name, kind });
        }
        let body = if self.take("=>") {
            let body = Body::Expression(self.expression()?);
            self.expect(";")?;
            body
        } else {
            Body::Block(self.block()?)
        };
        Ok(StatementKind::Function(LocalFunction {
            name,
            result,
            parameters,
            body,
        }))
    }

    fn for_statement(&mut self) -> Result<StatementKind, Refusal> {
        self.expect("(")?;
        let mut before = Vec::new();
        if !self.at_symbol(";") {
            let at = self.position();
            if let Some((kind, name)) = self.declaration() {
                let kind = self.local(kind, name)?;
                before.push(Statement { at, kind });
            } else {
                before = self.expression_statements()?;
            }
        }
        self.expect(";")?;
        let condition = if self.at_symbol(";") {
            None
        } else {
            Some(self.expression()?)
        };
        self.expect(";")?;
        let mut after = Vec::new();
        while !self.take(")") {
            if !after.is_empty() {
                self.expect(",")?;
            }
            after.push(self.expression()?);
        }
        Ok(StatementKind::For(before, condition, after, self.boxed()?))
    }

    fn expression_statements(&mut self) -> Result<Vec<Statement>, Refusal> {
        let mut statements = Vec::new();
        loop {
            let at = self.position();
            let kind = StatementKind::Expression(self.expression()?);
            statements.push(Statement { at, kind });
            if !self.take(",") {
                return Ok(statements);
            }
        }
    }

    fn foreach_statement(&mut self) -> Result<StatementKind, Refusal> {
        self.expect("(")?;
        let Some((kind, name)) = self.declaration() else {
            return self.refuse("Type and identifier are both required in a foreach statement");
        };
        if !self.take_word("in") {
            return self.refuse("'in' expected");
        }
        let source = self.expression()?;
        self.expect(")")?;
        Ok(StatementKind::ForEach(kind, name, source, self.boxed()?))
    }

    fn switch_statement(&mut self) -> Result<StatementKind, Refusal> {
        let value = self.parenthesized()?;
        self.expect("{")?;
        let mut sections = Vec::new();
        while !self.take("}") {
            let mut labels = Vec::new();
            loop {
                if self.take_word("case") {
                    labels.push(Some(self.expression()?));
                } else if self.at_word("default") && self.ahead_symbol(1, ":") {
                    self.advance();
                    labels.push(None);
                } else {
                    break;
                }
                self.expect(":")?;
            }
            if labels.is_empty() {
                return self.refuse("case or default expected");
            }
            let mut body = Vec::new();
            while !self.ends_section() {
                body.push(self.statement()?);
            }
            sections.push((labels, body));
        }
        Ok(StatementKind::Switch(value, sections))
    }

    fn ends_section(&self) -> bool {
        let default = self.at_word("default") && self.ahead_symbol(1, ":");
        default || self.at_symbol("}") || self.at_word("case")
    }

    fn try_statement(&mut self) -> Result<StatementKind, Refusal> {
        let body = self.block()?;
        let mut catches = Vec::new();
        while self.take_word("catch") {
            let (mut kind, mut name, mut filter) = (None, None, None);
            if self.take("(") {
                kind = Some(self.type_name()?);
                if !self.at_symbol(")") {
                    name = Some(self.identifier()?);
                }
                self.expect(")")?;
            }
            if self.take_word("when") {
                filter = Some(self.parenthesized()?);
            }
            let body = self.block()?;
            catches.push(Catch {
                kind,
                name,
                filter,
                body,
            });
        }
        let finally = if self.take_word("finally") {
            Some(self.block()?)
        } else {
            None
        };
        if catches.is_empty() && finally.is_none() {
            return self.refuse("Expected catch or finally");
        }
        Ok(StatementKind::Try(body, catches, finally))
    }
}
