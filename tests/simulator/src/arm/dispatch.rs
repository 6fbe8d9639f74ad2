//! From a target and a method to the code that answers.

use super::entity::is_long_running;
use super::error::{ArmError, method_not_allowed};
use super::list;
use super::lro::{self, Shape};
use super::path::{Kind, Target};
use super::request::Request;
use super::store::Service;
use super::vault;
use crate::config::LroSettings;
use crate::http::Reply;
use axum::http::Method;

impl Service {
    /// Answers a request that ARM has let through.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        self.settle(request.now, settings);
        let target = Target::parse(&request.rest)?;
        let allowed = allowed_methods(&target);
        let has = |method: &str| allowed.split(',').any(|one| one == method);
        let asked = request.method.as_str();
        if !(has(asked) || request.head && has("HEAD")) {
            return Ok(method_not_allowed(asked, allowed));
        }
        if let Target::Policy(_, id) = &target
            && !id.eq_ignore_ascii_case("policy")
        {
            return Err(ArmError::invalid(
                "policyId",
                &format!("The policy identifier '{id}' is not valid; it is always 'policy'."),
            ));
        }
        if request.method == Method::GET || request.method == Method::HEAD {
            return self.read(request, &target, settings);
        }
        if request.method == Method::POST {
            return self.apply(request, &target, settings);
        }
        self.write(request, &target, settings)
    }

    fn read(
        &mut self,
        request: &Request,
        target: &Target,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        if let Some(id) = request.parameter("asyncId") {
            return self.operation_result(id, request, settings);
        }
        if let Target::OperationResult(id) = target {
            return self.operation_status(id, settings);
        }
        // Somebody who waits by reading the entity sees it arrive as well.
        if matches!(
            target,
            Target::Api(_) | Target::Entity(..) | Target::Schema(..)
        ) && let Some(id) = self.running(target)
        {
            self.look(&id, settings);
        }
        match target {
            Target::Service => Ok(self.service_reply(request)),
            Target::Apis => self.list_apis(request),
            Target::Api(api) => self.get_api(request, api),
            Target::Revisions(api) => self.list_revisions(request, api),
            Target::Operations(api) => self.list_operations(request, api),
            Target::Operation(api, id) => self.get_operation(api, id),
            Target::Schemas(api) => self.list_schemas(request, api),
            Target::Schema(api, id) => self.get_schema(api, id),
            Target::Policies(scope) => self.list_policies(request, scope),
            Target::Policy(scope, _) => self.get_policy(request, scope),
            Target::Products => self.list_products(request, None),
            Target::ProductsOf(api) => self.list_products(request, Some(api)),
            Target::Product(id) => self.get_product(id),
            Target::ProductApis(id) => self.list_product_apis(request, id),
            Target::ProductApi(id, api) => self.product_api(request, id, api),
            Target::ProductGroups(id) => self.list_product_groups(request, id),
            Target::ProductGroup(id, group) => self.product_group(request, id, group),
            Target::ProductSubscriptions(id) => self.list_subscriptions(request, Some(id)),
            Target::Subscriptions => self.list_subscriptions(request, None),
            Target::Subscription(id) => self.get_subscription(id),
            Target::ApiTags(api) => self.list_api_tags(request, api),
            Target::ApiTag(api, id) => self.get_api_tag(request, api, id),
            Target::ApiDiagnostics(api) => self.list_diagnostics(request, api),
            Target::ApiDiagnostic(api, id) => self.get_diagnostic(api, id),
            Target::ApiWikis(api) => self.list_wikis(request, api),
            Target::ApiWiki(api) => self.get_wiki(api),
            Target::Releases(api) => self.list_releases(request, api),
            Target::Release(api, id) => self.get_release(api, id),
            Target::TagLinks(id, links) => self.list_tag_links(request, id, links),
            Target::Group(id) => self.get_group(id),
            Target::Gateways => self.list_gateways(request),
            Target::Gateway(id) => self.get_gateway(id),
            Target::GatewayApis(id) => self.list_gateway_apis(request, id),
            Target::GatewayApi(id, api) => self.gateway_api(request, id, api),
            Target::Entities(kind) => self.list_entities(request, *kind),
            Target::Unmade("loggers") => self.list_entities(request, Kind::Logger),
            Target::Unmade(_) => list::page(request, &self.id(), Vec::<serde_json::Value>::new()),
            Target::Entity(kind, id) => self.get_entity(*kind, id),
            Target::Action(..)
            | Target::SubscriptionAction(..)
            | Target::GatewayAction(..)
            | Target::OperationResult(_) => Err(ArmError::not_found("Resource")),
        }
    }

    fn write(
        &mut self,
        request: &Request,
        target: &Target,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        if let Some(id) = self.running(target) {
            self.look(&id, settings);
            return Err(if settings.busy_status == 412 {
                ArmError::modified()
            } else {
                ArmError::busy()
            });
        }
        if let Some(api) = target.api()
            && let Some(left) = self.locks.get_mut(&api.key())
        {
            if *left > 0 {
                *left -= 1;
                return Err(ArmError::busy());
            }
            self.locks.remove(&api.key());
        }
        let fails = request
            .fault
            .as_ref()
            .and_then(|fault| fault.lro_failure.as_ref());
        let shape = lro::shape(settings, request);
        if !may_take_long(request, target) {
            let reply = self.apply(request, target, settings)?;
            self.after_success(request, target);
            return Ok(reply);
        }
        // What can be refused at once is refused at once.
        let checked = self.check(request, target, settings)?;
        if checked.status == 204 {
            return Ok(checked);
        }
        if shape == Shape::Sync {
            if let Some(failure) = fails {
                return Err(lro::failure_error(failure));
            }
            let reply = self.apply(request, target, settings)?;
            self.after_success(request, target);
            return Ok(reply);
        }
        // As recorded: deletions were long-running in the newer shape only.
        if request.method == Method::DELETE && shape == Shape::Location && fails.is_none() {
            let reply = self.apply(request, target, settings)?;
            self.after_success(request, target);
            return Ok(reply);
        }
        let code = if request.method == Method::DELETE {
            204
        } else {
            checked.status
        };
        let stub = self.stub_of(target);
        Ok(self.accept(settings, request, target, shape, code, &stub))
    }

    fn stub_of(&self, target: &Target) -> serde_json::Value {
        match target {
            Target::Api(api) => {
                let name = match api.revision {
                    Some(number) => format!("{};rev={number}", api.base),
                    None => api.base.clone(),
                };
                self.stub("apis", "apis", &name)
            }
            Target::Schema(api, id) => {
                self.stub(&format!("apis/{}/schemas", api.base), "apis/schemas", id)
            }
            Target::Entity(kind, id) => self.stub(kind.segment(), kind.segment(), id),
            _ => serde_json::Value::Null,
        }
    }

    /// What would be refused at once, without changing anything.
    fn check(
        &mut self,
        request: &Request,
        target: &Target,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        let patch = request.method == Method::PATCH;
        match target {
            Target::Api(api) if request.method == Method::DELETE => {
                self.delete_api(request, api, false)
            }
            Target::Api(api) => self.put_api(request, api, settings, false),
            Target::Schema(api, id) => self.put_schema(request, api, id, false),
            Target::Entity(kind, id) => self.write_entity(request, *kind, id, patch, false),
            _ => Ok(Reply::empty(200)),
        }
    }

    /// Carries out a change that did not come through ARM.
    pub(crate) fn carry_out(
        &mut self,
        request: &Request,
        target: &Target,
    ) -> Result<Reply, ArmError> {
        self.apply(request, target, &LroSettings::default())
    }

    /// Carries out a write or an action.
    pub(super) fn apply(
        &mut self,
        request: &Request,
        target: &Target,
        settings: &LroSettings,
    ) -> Result<Reply, ArmError> {
        let patch = request.method == Method::PATCH;
        let delete = request.method == Method::DELETE;
        match target {
            Target::Api(api) if delete => self.delete_api(request, api, true),
            Target::Api(api) if patch => self.patch_api(request, api),
            Target::Api(api) => self.put_api(request, api, settings, true),
            Target::Operation(api, id) if delete => self.delete_operation(request, api, id),
            Target::Operation(api, id) => self.write_operation(request, api, id, patch),
            Target::Schema(api, id) if delete => self.delete_schema(request, api, id),
            Target::Schema(api, id) => self.put_schema(request, api, id, true),
            Target::Policy(scope, _) if delete => self.delete_policy(request, scope),
            Target::Policy(scope, _) => self.put_policy(request, scope),
            Target::Entity(kind, id) if delete => self.delete_entity(request, *kind, id),
            Target::Entity(kind, id) => self.write_entity(request, *kind, id, patch, true),
            Target::Action(kind, id, action) if vault::is_refresh(*kind, action) => {
                self.refresh(request, *kind, id)
            }
            Target::Action(kind, id, action) => self.action(*kind, id, action),
            Target::Product(id) if delete => self.delete_product(request, id),
            Target::Product(id) => self.write_product(request, id, patch),
            Target::ProductApi(id, api) => self.product_api(request, id, api),
            Target::ProductGroup(id, group) => self.product_group(request, id, group),
            Target::Subscription(id) if delete => self.delete_subscription(request, id),
            Target::Subscription(id) => self.write_subscription(request, id, patch),
            Target::SubscriptionAction(id, action) => self.subscription_action(request, id, action),
            Target::ApiTag(api, id) => self.write_api_tag(request, api, id),
            Target::ApiDiagnostic(api, id) if delete => self.delete_diagnostic(request, api, id),
            Target::ApiDiagnostic(api, id) => self.write_diagnostic(request, api, id, patch),
            Target::ApiWiki(api) if delete => self.delete_wiki(request, api),
            Target::ApiWiki(api) => self.write_wiki(request, api, patch),
            Target::Release(api, id) if delete => self.delete_release(request, api, id),
            Target::Release(api, id) => self.write_release(request, api, id, patch),
            Target::Group(id) if !delete => self.put_group(request, id),
            Target::Gateway(id) if delete => self.delete_gateway(request, id),
            Target::Gateway(id) => self.write_gateway(request, id, patch),
            Target::GatewayApi(id, api) => self.gateway_api(request, id, api),
            Target::GatewayAction(id, action) => self.gateway_action(request, id, action),
            _ => Err(ArmError::not_simulated(&target.resource_type())),
        }
    }
}

/// Whether ARM may answer a write before it is done.
fn may_take_long(request: &Request, target: &Target) -> bool {
    match target {
        Target::Api(_) => {
            request.method == Method::DELETE
                || request.method == Method::PUT && super::api::takes_long(request)
        }
        Target::Schema(..) => request.method == Method::PUT,
        Target::Entity(kind, _) => {
            is_long_running(*kind)
                && (request.method == Method::PUT || request.method == Method::PATCH)
        }
        _ => false,
    }
}

fn allowed_methods(target: &Target) -> &'static str {
    match target {
        Target::Service
        | Target::OperationResult(_)
        | Target::Apis
        | Target::Revisions(_)
        | Target::Operations(_)
        | Target::Schemas(_)
        | Target::Policies(_)
        | Target::Entities(_)
        | Target::Products
        | Target::ProductsOf(_)
        | Target::ProductApis(_)
        | Target::ProductGroups(_)
        | Target::ProductSubscriptions(_)
        | Target::Subscriptions
        | Target::Gateways
        | Target::GatewayApis(_)
        | Target::ApiTags(_)
        | Target::ApiDiagnostics(_)
        | Target::ApiWikis(_)
        | Target::Releases(_)
        | Target::TagLinks(..)
        | Target::Unmade(_) => "GET",
        Target::ProductApi(..) | Target::ProductGroup(..) | Target::GatewayApi(..) => {
            "HEAD,PUT,DELETE"
        }
        Target::Group(_) => "GET,HEAD,PUT",
        Target::Schema(..)
        | Target::ApiTag(..)
        | Target::Policy(..)
        | Target::Entity(Kind::PolicyFragment | Kind::Schema | Kind::Certificate, _) => {
            "GET,HEAD,PUT,DELETE"
        }
        Target::Api(_)
        | Target::Operation(..)
        | Target::Entity(..)
        | Target::Product(_)
        | Target::Subscription(_)
        | Target::ApiDiagnostic(..)
        | Target::ApiWiki(_)
        | Target::Release(..)
        | Target::Gateway(_) => "GET,HEAD,PUT,PATCH,DELETE",
        Target::Action(..) | Target::SubscriptionAction(..) | Target::GatewayAction(..) => "POST",
    }
}
