//! Names, literals, `new`, and what is done with a value: members, calls,
//! indexes.

use super::lexer::{Lexeme, RawPiece};
use super::parser::{Parser, is_keyword, is_type_keyword};
use super::tree::{Argument, Initializer, Node, NodeKind, Passing, Piece, Section, TypeName};
use crate::Value;
use crate::error::{Position, Refusal};

impl Parser {
    /// An operand with everything behind it.
    pub(super) fn postfix(&mut self) -> Result<Node, Refusal> {
        let operand = self.primary()?;
        self.behind(operand)
    }

    fn behind(&mut self, mut node: Node) -> Result<Node, Refusal> {
        loop {
            let Lexeme::Symbol(symbol) = *self.peek() else {
                return Ok(node);
            };
            let at = self.position();
            match symbol {
                "." => {
                    self.advance();
                    node = self.member(node)?;
                }
                "(" => {
                    let (arguments, depth) = self.arguments(")")?;
                    let depth = depth.max(node.depth);
                    node = Node::above(node.at, NodeKind::Call(Box::new(node), arguments), depth)?;
                }
                "[" => node = self.index(node)?,
                "?." => {
                    self.advance();
                    let receiver = Node::leaf(at, NodeKind::Receiver);
                    let first = self.member(receiver)?;
                    return self.conditional_chain(node, first);
                }
                "?" if self.ahead_symbol(1, "[") => {
                    self.advance();
                    let receiver = Node::leaf(at, NodeKind::Receiver);
                    let first = self.index(receiver)?;
                    return self.conditional_chain(node, first);
                }
                "++" | "--" => {
                    self.advance();
                    let depth = node.depth;
                    let kind = NodeKind::Step {
                        up: symbol == "++",
                        before: false,
                        target: Box::new(node),
                    };
                    node = Node::above(at, kind, depth)?;
                }
                _ => return Ok(node),
            }
        }
    }

    /// Everything behind `?.` is skipped where the value is null.
    fn conditional_chain(&mut self, value: Node, first: Node) -> Result<Node, Refusal> {
        let rest = self.deeper(|parser| parser.behind(first))?;
        let depth = value.depth.max(rest.depth);
        let kind = NodeKind::NullConditional(Box::new(value), Box::new(rest));
        // The place of the whole is where it begins.
        Node::above(self.position(), kind, depth)
    }

    fn member(&mut self, of: Node) -> Result<Node, Refusal> {
        let at = self.position();
        let name = self.identifier()?;
        let arguments = self.call_type_arguments();
        let depth = of.depth;
        Node::above(at, NodeKind::Member(Box::new(of), name, arguments), depth)
    }

    /// `<T>` before a call's parentheses; a comparison otherwise.
    fn call_type_arguments(&mut self) -> Vec<TypeName> {
        if !self.at_symbol("<") {
            return Vec::new();
        }
        self.attempt(|parser| {
            let arguments = parser.type_arguments()?;
            match parser.peek() {
                Lexeme::Symbol("(") => Ok(arguments),
                _ => parser.refuse("no type arguments"),
            }
        })
        .unwrap_or_default()
    }

    fn index(&mut self, of: Node) -> Result<Node, Refusal> {
        let at = self.position();
        let (arguments, depth) = self.arguments("]")?;
        if arguments.is_empty() {
            return Err(Refusal::new(at, "Syntax error; value expected"));
        }
        let depth = depth.max(of.depth);
        Node::above(at, NodeKind::Index(Box::new(of), arguments), depth)
    }

    /// From the opening bracket to behind the closing one, with the depth of
    /// the deepest.
    fn arguments(&mut self, end: &str) -> Result<(Vec<Argument>, u16), Refusal> {
        self.advance();
        let mut arguments = Vec::new();
        let mut depth = 0;
        while !self.take(end) {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            let argument = self.argument()?;
            depth = depth.max(argument.value.depth);
            arguments.push(argument);
        }
        Ok((arguments, depth))
    }

    fn argument(&mut self) -> Result<Argument, Refusal> {
        let name = match self.peek() {
            Lexeme::Identifier(name) if !is_keyword(name) && self.ahead_symbol(1, ":") => {
                let name = name.clone();
                self.advance();
                self.advance();
                Some(name)
            }
            _ => None,
        };
        if self.at_word("ref") {
            return self.refuse("Arguments by 'ref' are not known here");
        }
        if !self.take_word("out") {
            return Ok(Argument {
                name,
                passing: Passing::Value,
                value: self.expression()?,
            });
        }
        let declared = self.attempt(|parser| {
            let kind = if parser.at_word("var")
                && !parser.ahead_symbol(1, ",")
                && !parser.ahead_symbol(1, ")")
            {
                parser.advance();
                None
            } else {
                Some(parser.type_name()?)
            };
            let at = parser.position();
            let name = parser.identifier()?;
            Ok((kind, Node::leaf(at, NodeKind::Name(name, Vec::new()))))
        });
        Ok(match declared {
            Some((kind, value)) => Argument {
                name,
                passing: Passing::OutNew(kind),
                value,
            },
            None => Argument {
                name,
                passing: Passing::Out,
                value: self.expression()?,
            },
        })
    }

    fn primary(&mut self) -> Result<Node, Refusal> {
        let at = self.position();
        match self.peek().clone() {
            Lexeme::Literal(value) => {
                self.advance();
                Ok(Node::leaf(at, NodeKind::Literal(value)))
            }
            Lexeme::Interpolated(pieces) => {
                self.advance();
                self.interpolated(at, pieces)
            }
            Lexeme::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                // Counted, so that parentheses alone cannot nest without end.
                Node::above(at, inner.kind, inner.depth)
            }
            Lexeme::Identifier(word) => self.word(at, &word),
            Lexeme::Symbol(symbol) => self.refuse(format!("Invalid expression term '{symbol}'")),
            Lexeme::End => self.refuse("Unexpected end of the expression"),
        }
    }

    fn word(&mut self, at: Position, word: &std::sync::Arc<str>) -> Result<Node, Refusal> {
        let literal = match &**word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = literal {
            self.advance();
            return Ok(Node::leaf(at, NodeKind::Literal(value)));
        }
        match &**word {
            "new" => {
                self.advance();
                self.creation(at)
            }
            "default" => {
                self.advance();
                let kind = if self.take("(") {
                    let kind = self.type_name()?;
                    self.expect(")")?;
                    Some(kind)
                } else {
                    None
                };
                Ok(Node::leaf(at, NodeKind::Default(kind)))
            }
            "nameof" if self.ahead_symbol(1, "(") => self.name_of(at),
            "checked" | "typeof" | "sizeof" | "delegate" | "stackalloc" | "this" | "base" => {
                self.refuse(format!("'{word}' is not known here"))
            }
            "unchecked" if self.ahead_symbol(1, "(") => {
                self.advance();
                self.primary()
            }
            _ if is_type_keyword(word) => {
                self.advance();
                let name = TypeName::simple(at, word);
                Ok(Node::leaf(at, NodeKind::Type(name)))
            }
            _ if is_keyword(word) => self.refuse(format!("Invalid expression term '{word}'")),
            _ => {
                self.advance();
                let arguments = self.name_type_arguments();
                Ok(Node::leaf(at, NodeKind::Name(word.clone(), arguments)))
            }
        }
    }

    /// `<T>` behind a name: `F<int>(…)` or `List<int>.Member`.
    fn name_type_arguments(&mut self) -> Vec<TypeName> {
        self.call_type_arguments()
    }

    /// `nameof(a.b)` is the last name.
    fn name_of(&mut self, at: Position) -> Result<Node, Refusal> {
        self.advance();
        self.advance();
        let node = self.expression()?;
        self.expect(")")?;
        match node.kind {
            NodeKind::Name(name, _) | NodeKind::Member(_, name, _) => {
                Ok(Node::leaf(at, NodeKind::Literal(Value::String(name))))
            }
            _ => Err(Refusal::new(at, "Expression does not have a name.")),
        }
    }

    fn interpolated(&mut self, at: Position, pieces: Vec<RawPiece>) -> Result<Node, Refusal> {
        let mut parsed = Vec::new();
        let mut depth = 0;
        for piece in pieces {
            parsed.push(match piece {
                RawPiece::Text(text) => Piece::Text(text.into()),
                RawPiece::Hole {
                    lexemes,
                    alignment,
                    format,
                } => {
                    let mut inner = self.within(lexemes, at);
                    let value = inner.deeper(Self::expression)?;
                    if !matches!(inner.peek(), Lexeme::End) {
                        return inner.refuse("} expected");
                    }
                    depth = depth.max(value.depth);
                    Piece::Hole {
                        value,
                        alignment,
                        format: format.map(Into::into),
                    }
                }
            });
        }
        Node::above(at, NodeKind::Interpolated(parsed), depth)
    }

    /// Behind `new`.
    fn creation(&mut self, at: Position) -> Result<Node, Refusal> {
        if self.at_symbol("{") {
            return self.anonymous(at);
        }
        if self.at_symbol("[") {
            self.advance();
            self.expect("]")?;
            let (items, depth) = self.items()?;
            return Node::above(at, NodeKind::NewArray(None, None, Some(items)), depth);
        }
        let kind = self.type_without_ranks()?;
        if self.at_symbol("[") {
            return self.new_array(at, kind);
        }
        let (arguments, mut depth) = if self.at_symbol("(") {
            self.arguments(")")?
        } else if self.at_symbol("{") {
            (Vec::new(), 0)
        } else {
            return self.refuse("A new expression requires (), [], or {} after type");
        };
        let initializer = if self.at_symbol("{") {
            let (initializer, inner) = self.initializer()?;
            depth = depth.max(inner);
            Some(initializer)
        } else {
            None
        };
        Node::above(at, NodeKind::New(kind, arguments, initializer), depth)
    }

    fn new_array(&mut self, at: Position, mut kind: TypeName) -> Result<Node, Refusal> {
        self.advance();
        let length = if self.at_symbol("]") {
            None
        } else {
            Some(self.expression()?)
        };
        self.expect("]")?;
        while self.at_symbol("[") && self.ahead_symbol(1, "]") {
            self.advance();
            self.advance();
            kind.suffixes.push(Some(()));
        }
        let mut depth = length.as_ref().map_or(0, |node| node.depth);
        let items = if self.at_symbol("{") {
            let (items, inner) = self.items()?;
            depth = depth.max(inner);
            Some(items)
        } else {
            None
        };
        if length.is_none() && items.is_none() {
            return self.refuse("Array creation must have array size or array initializer");
        }
        if length.is_some() && items.is_some() {
            return self.refuse("An array's size and its elements together are not known here");
        }
        let kind = NodeKind::NewArray(Some(kind), length.map(Box::new), items);
        Node::above(at, kind, depth)
    }

    /// `{ a, b, }`.
    pub(super) fn items(&mut self) -> Result<(Vec<Node>, u16), Refusal> {
        self.expect("{")?;
        let mut items = Vec::new();
        let mut depth = 0;
        while !self.take("}") {
            let item = self.expression()?;
            depth = depth.max(item.depth);
            items.push(item);
            if !self.at_symbol("}") {
                self.expect(",")?;
            }
        }
        Ok((items, depth))
    }

    fn anonymous(&mut self, at: Position) -> Result<Node, Refusal> {
        self.expect("{")?;
        let mut members = Vec::new();
        let mut depth = 0;
        while !self.take("}") {
            let named = matches!(self.peek(), Lexeme::Identifier(name) if !is_keyword(name))
                && self.ahead_symbol(1, "=");
            let (name, value) = if named {
                let name = self.identifier()?;
                self.advance();
                (name, self.expression()?)
            } else {
                let value = self.expression()?;
                match &value.kind {
                    NodeKind::Name(name, _) | NodeKind::Member(_, name, _) => (name.clone(), value),
                    _ => {
                        return Err(Refusal::new(
                            value.at,
                            "Invalid anonymous type member declarator. Anonymous type members must be declared with a member assignment, simple name or member access.",
                        ));
                    }
                }
            };
            depth = depth.max(value.depth);
            members.push((name, value));
            if !self.at_symbol("}") {
                self.expect(",")?;
            }
        }
        Node::above(at, NodeKind::NewAnonymous(members), depth)
    }

    fn initializer(&mut self) -> Result<(Initializer, u16), Refusal> {
        let by_name = matches!(self.ahead(1), Lexeme::Identifier(name) if !is_keyword(name))
            && self.ahead_symbol(2, "=");
        if by_name || self.ahead_symbol(1, "[") {
            return self.member_initializer();
        }
        self.expect("{")?;
        let mut items = Vec::new();
        let mut depth = 0;
        while !self.take("}") {
            let (item, inner) = if self.at_symbol("{") {
                self.items()?
            } else {
                let item = self.expression()?;
                let depth = item.depth;
                (vec![item], depth)
            };
            depth = depth.max(inner);
            items.push(item);
            if !self.at_symbol("}") {
                self.expect(",")?;
            }
        }
        Ok((Initializer::Items(items), depth))
    }

    fn member_initializer(&mut self) -> Result<(Initializer, u16), Refusal> {
        self.expect("{")?;
        let mut members = Vec::new();
        let mut depth = 0;
        while !self.take("}") {
            let section = if self.take("[") {
                let index = self.expression()?;
                self.expect("]")?;
                depth = depth.max(index.depth);
                Section::Index(index)
            } else {
                Section::Name(self.identifier()?)
            };
            self.expect("=")?;
            let value = self.expression()?;
            depth = depth.max(value.depth);
            members.push((section, value));
            if !self.at_symbol("}") {
                self.expect(",")?;
            }
        }
        Ok((Initializer::Members(members), depth))
    }
}
