//! Operators, by their precedence.

use std::sync::Arc;

use super::lexer::Lexeme;
use super::parser::{Parser, is_keyword, is_type_keyword};
use super::tree::{
    AssignOperator, BinaryOperator, Body, Node, NodeKind, Parameter, TypeName, UnaryOperator,
};
use crate::error::Refusal;

/// How strongly conditional operators bind, and the strongest of the binary.
const COALESCE: u8 = 1;
const RELATIONAL: u8 = 8;

fn binary(symbol: &str) -> Option<(u8, BinaryOperator)> {
    use BinaryOperator as B;
    Some(match symbol {
        "??" => (COALESCE, B::Coalesce),
        "||" => (2, B::OrElse),
        "&&" => (3, B::AndAlso),
        "|" => (4, B::Or),
        "^" => (5, B::Xor),
        "&" => (6, B::And),
        "==" => (7, B::Equal),
        "!=" => (7, B::NotEqual),
        "<" => (RELATIONAL, B::Less),
        ">" => (RELATIONAL, B::Greater),
        "<=" => (RELATIONAL, B::LessOrEqual),
        ">=" => (RELATIONAL, B::GreaterOrEqual),
        "<<" => (9, B::ShiftLeft),
        "+" => (10, B::Add),
        "-" => (10, B::Subtract),
        "*" => (11, B::Multiply),
        "/" => (11, B::Divide),
        "%" => (11, B::Remainder),
        _ => return None,
    })
}

fn assignment(symbol: &str) -> Option<AssignOperator> {
    use BinaryOperator as B;
    Some(match symbol {
        "=" => None,
        "+=" => Some(B::Add),
        "-=" => Some(B::Subtract),
        "*=" => Some(B::Multiply),
        "/=" => Some(B::Divide),
        "%=" => Some(B::Remainder),
        "&=" => Some(B::And),
        "|=" => Some(B::Or),
        "^=" => Some(B::Xor),
        "<<=" => Some(B::ShiftLeft),
        ">>=" => Some(B::ShiftRight),
        _ => return None,
    })
}

impl Parser {
    /// Any expression, assignments and lambdas included.
    pub(super) fn expression(&mut self) -> Result<Node, Refusal> {
        self.deeper(|parser| {
            if let Some(parameters) = parser.lambda_parameters() {
                return parser.lambda(parameters);
            }
            let target = parser.conditional()?;
            let Lexeme::Symbol(symbol) = parser.peek() else {
                return Ok(target);
            };
            if *symbol == "??=" {
                return parser.refuse("Feature 'coalescing assignment' is not available in C# 7.0");
            }
            let Some(operator) = assignment(symbol) else {
                return Ok(target);
            };
            let at = parser.position();
            parser.advance();
            let value = parser.expression()?;
            let depth = target.depth.max(value.depth);
            Node::above(
                at,
                NodeKind::Assign(operator, Box::new(target), Box::new(value)),
                depth,
            )
        })
    }

    fn conditional(&mut self) -> Result<Node, Refusal> {
        let condition = self.binary_operation(COALESCE)?;
        let at = self.position();
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.expression()?;
        self.expect(":")?;
        let no = self.expression()?;
        let depth = condition.depth.max(yes.depth).max(no.depth);
        let kind = NodeKind::Conditional(Box::new(condition), Box::new(yes), Box::new(no));
        Node::above(at, kind, depth)
    }

    fn binary_operation(&mut self, least: u8) -> Result<Node, Refusal> {
        let mut left = self.unary()?;
        loop {
            if least <= RELATIONAL && (self.at_word("is") || self.at_word("as")) {
                left = self.type_test(left)?;
                continue;
            }
            let Lexeme::Symbol(symbol) = *self.peek() else {
                return Ok(left);
            };
            let at = self.position();
            // `>>` is two lexemes, so that `List<List<int>>` can close.
            let shift = symbol == ">" && self.ahead_symbol(1, ">") && self.adjacent();
            let (strength, operator) = if shift {
                (9, BinaryOperator::ShiftRight)
            } else if let Some(found) = binary(symbol) {
                found
            } else {
                return Ok(left);
            };
            if strength < least {
                return Ok(left);
            }
            self.advance();
            if shift {
                self.advance();
            }
            let right = if operator == BinaryOperator::Coalesce {
                // Binds to the right, and may end in a throw.
                self.deeper(|parser| parser.binary_operation(COALESCE))?
            } else {
                self.deeper(|parser| parser.binary_operation(strength + 1))?
            };
            let depth = left.depth.max(right.depth);
            let kind = NodeKind::Binary(operator, Box::new(left), Box::new(right));
            left = Node::above(at, kind, depth)?;
        }
    }

    /// Whether the next two lexemes, of one character each, touch.
    fn adjacent(&self) -> bool {
        let (Some(one), Some(two)) = (self.lexemes.get(self.at), self.lexemes.get(self.at + 1))
        else {
            return false;
        };
        one.at.0 + 1 == two.at.0
    }

    fn type_test(&mut self, value: Node) -> Result<Node, Refusal> {
        let at = self.position();
        let depth = value.depth;
        let is = self.at_word("is");
        self.advance();
        if is && self.at_word("null") {
            self.advance();
            let null = Node::leaf(at, NodeKind::Literal(crate::Value::Null));
            let kind = NodeKind::Binary(BinaryOperator::Equal, Box::new(value), Box::new(null));
            return Node::above(at, kind, depth);
        }
        let kind = self.tested_type()?;
        if !is {
            return Node::above(at, NodeKind::As(Box::new(value), kind), depth);
        }
        let name = match self.peek() {
            Lexeme::Identifier(name) if !is_keyword(name) && !matches!(&**name, "when") => {
                let name = name.clone();
                self.advance();
                Some(name)
            }
            _ => None,
        };
        Node::above(at, NodeKind::Is(Box::new(value), kind, name), depth)
    }

    /// `x is T ? a : b` is a conditional, and not of type `T?`.
    fn tested_type(&mut self) -> Result<TypeName, Refusal> {
        let mut kind = self.type_name()?;
        if kind.suffixes.last() == Some(&None) && self.starts_operand() {
            kind.suffixes.pop();
            self.at -= 1;
        }
        Ok(kind)
    }

    /// Whether what comes can begin an operand.
    pub(super) fn starts_operand(&self) -> bool {
        match self.peek() {
            Lexeme::Identifier(word) => !matches!(&**word, "is" | "as" | "in" | "out" | "when"),
            Lexeme::Literal(_) | Lexeme::Interpolated(_) => true,
            Lexeme::Symbol(symbol) => matches!(*symbol, "(" | "!" | "~" | "-" | "+"),
            Lexeme::End => false,
        }
    }

    /// Unary operators and casts.
    pub(super) fn unary(&mut self) -> Result<Node, Refusal> {
        self.deeper(|parser| {
            let at = parser.position();
            if let Lexeme::Symbol(symbol) = *parser.peek() {
                let operator = match symbol {
                    "+" => Some(UnaryOperator::Plus),
                    "-" => Some(UnaryOperator::Minus),
                    "!" => Some(UnaryOperator::Not),
                    "~" => Some(UnaryOperator::Complement),
                    _ => None,
                };
                if let Some(operator) = operator {
                    parser.advance();
                    if operator == UnaryOperator::Minus
                        && let Some(literal) = parser.negative_literal(at)
                    {
                        return Ok(literal);
                    }
                    let operand = parser.unary()?;
                    let depth = operand.depth;
                    return Node::above(at, NodeKind::Unary(operator, Box::new(operand)), depth);
                }
                if symbol == "++" || symbol == "--" {
                    parser.advance();
                    let target = Box::new(parser.unary()?);
                    let depth = target.depth;
                    let kind = NodeKind::Step {
                        up: symbol == "++",
                        before: true,
                        target,
                    };
                    return Node::above(at, kind, depth);
                }
            }
            if parser.at_word("throw") {
                parser.advance();
                let value = parser.expression()?;
                let depth = value.depth;
                return Node::above(at, NodeKind::Throw(Box::new(value)), depth);
            }
            if let Some(kind) = parser.cast() {
                let value = parser.unary()?;
                let depth = value.depth;
                return Node::above(at, NodeKind::Cast(kind, Box::new(value)), depth);
            }
            parser.postfix()
        })
    }

    /// `-2147483648` is an int, though 2147483648 alone is none; the same for
    /// long.
    fn negative_literal(&mut self, at: crate::error::Position) -> Option<Node> {
        use crate::value::{Number, Value};
        let value = match self.peek() {
            Lexeme::Literal(Value::Number(Number::UInt(0x8000_0000))) => Number::Int(i32::MIN),
            Lexeme::Literal(Value::Number(Number::ULong(0x8000_0000_0000_0000))) => {
                Number::Long(i64::MIN)
            }
            _ => return None,
        };
        self.advance();
        Some(Node::leaf(at, NodeKind::Literal(Value::Number(value))))
    }

    /// `(T)` where it is a cast and not an expression in parentheses.
    fn cast(&mut self) -> Option<TypeName> {
        if !self.at_symbol("(") {
            return None;
        }
        self.attempt(|parser| {
            parser.advance();
            let keyword =
                matches!(parser.peek(), Lexeme::Identifier(word) if is_type_keyword(word));
            let kind = parser.type_name()?;
            parser.expect(")")?;
            let certain = keyword || !kind.suffixes.is_empty() || !kind.arguments.is_empty();
            let follows = match parser.peek() {
                Lexeme::Symbol("-" | "+") => keyword,
                _ => parser.starts_operand(),
            };
            if follows || (certain && parser.at_symbol("(")) {
                Ok(kind)
            } else {
                parser.refuse("no cast")
            }
        })
    }

    /// The parameters of a lambda, if one begins here, up to behind `=>`.
    fn lambda_parameters(&mut self) -> Option<Vec<Parameter>> {
        if let Lexeme::Identifier(name) = self.peek() {
            if is_keyword(name) || !self.ahead_symbol(1, "=>") {
                return None;
            }
            let name = name.clone();
            self.advance();
            self.advance();
            return Some(vec![Parameter { name, kind: None }]);
        }
        if !self.at_symbol("(") {
            return None;
        }
        self.attempt(|parser| {
            parser.advance();
            let mut parameters = Vec::new();
            while !parser.take(")") {
                if !parameters.is_empty() {
                    parser.expect(",")?;
                }
                parameters.push(parser.lambda_parameter()?);
            }
            parser.expect("=>")?;
            Ok(parameters)
        })
    }

    fn lambda_parameter(&mut self) -> Result<Parameter, Refusal> {
        let bare = self.ahead_symbol(1, ",") || self.ahead_symbol(1, ")");
        let kind = if bare { None } else { Some(self.type_name()?) };
        let name: Arc<str> = self.identifier()?;
        Ok(Parameter { name, kind })
    }

    fn lambda(&mut self, parameters: Vec<Parameter>) -> Result<Node, Refusal> {
        let at = self.position();
        let (body, depth) = if self.at_symbol("{") {
            (Body::Block(self.block()?), 1)
        } else {
            let body = self.expression()?;
            let depth = body.depth;
            (Body::Expression(body), depth)
        };
        Node::above(at, NodeKind::Lambda(parameters, Box::new(body)), depth)
    }
}
