"""Why a customer is at risk, in sentences, and what to do about it: tables of words, no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse_assets.churn.factors import FACTOR_SUFFIX, FACTORS

if TYPE_CHECKING:
    import pandas as pd

# Upper end (exclusive) of the calibrated 90-day probability of each tier.
TIERS: tuple[tuple[str, float], ...] = (("low", 0.05), ("medium", 0.15), ("high", 0.35), ("critical", 1.01))

MOST_REASONS = 5
FEWEST_REASONS = 3
# Contributions below this change the odds by less than 5% and are told only to make up three reasons.
TELLING = 0.05

# What a feature is called in a sentence; features that are not here go by their column name.
TITLES: dict[str, str] = {
    "complaints_90d": "complaints in 90 days",
    "complaints_change_ratio": "change in complaints",
    "contaminated_90d": "contaminated lifts in 90 days",
    "customer_type": "customer type",
    "days_past_due_max": "days the oldest invoice is past due",
    "days_since_last_portal_session": "days since the last portal session",
    "days_since_price_increase": "days since the last price increase",
    "days_to_agreement_end": "days to the end of the agreement",
    "invoiced_90d_usd": "invoiced in 90 days",
    "invoices_90d": "invoices in 90 days",
    "late_invoice_ratio_180d": "share of invoices over ten days late in 180 days",
    "late_payments_180d": "late payments in 180 days",
    "lifts_90d": "lifts in 90 days",
    "missed_pickup_ratio_90d": "share of pickups missed in 90 days",
    "missed_pickups_90d": "missed pickups in 90 days",
    "mrr_change_90d_ratio": "change in monthly revenue over 90 days",
    "mrr_usd": "monthly recurring revenue",
    "nps_last": "last recommendation score (0-10)",
    "open_tickets": "open tickets",
    "overage_90d": "overages in 90 days",
    "overdue_ratio": "share of the billed amount overdue",
    "overdue_usd": "overdue amount",
    "portal_sessions_90d": "portal sessions in 90 days",
    "portal_sessions_change_90d_ratio": "change in portal sessions over 90 days",
    "payment_terms_days": "days to pay an invoice",
    "price_increase_365d_ratio": "price increase in 365 days",
    "response_hours_avg_90d": "average hours to answer a ticket",
    "satisfaction_avg_180d": "average satisfaction (1-5)",
    "service_orders_180d": "roll-off bookings in 180 days",
    "service_type": "service",
    "tenure_months": "months as a customer",
    "tickets_90d": "tickets in 90 days",
    "tons_90d": "tons in 90 days",
    "tons_change_90d_ratio": "change in tons over 90 days",
}

_FACTOR_TITLES = {f"{factor.name}{FACTOR_SUFFIX}": factor.title for factor in FACTORS}

# Columns that tell of a factor though none of its rules reads them.
_KINDRED: dict[str, frozenset[str]] = {
    "payment_delinquency": frozenset({"late_invoice_ratio_180d", "overdue_usd"}),
    "complaints": frozenset({"tickets_90d"}),
    "engagement_decline": frozenset({"portal_sessions_90d"}),
}

# Factor → (from this factor score on, what to do), strongest first.
ACTIONS: dict[str, tuple[tuple[float, str], ...]] = {
    "payment_delinquency": (
        (60, "Call about the overdue balance and agree a payment plan before service is suspended."),
        (25, "Send a reminder of the open invoices and offer automatic payment."),
    ),
    "missed_pickups": (
        (60, "Have the route supervisor call, credit the missed pickups and fix the stop on the route this week."),
        (25, "Check the stop's access and time window with the driver and confirm the next pickup to the customer."),
    ),
    "complaints": (
        (60, "Give the account one named contact and close every open complaint within two days."),
        (25, "Answer the open tickets today and tell the customer what was done."),
    ),
    "satisfaction": (
        (60, "Have the account manager call to hear what is wrong and follow up in writing."),
        (25, "Ask for feedback after the next pickup and act on it."),
    ),
    "volume_decline": (
        (60, "Visit the customer: offer a smaller container or fewer lifts before they look elsewhere."),
        (25, "Review container size and service frequency with the customer."),
    ),
    "engagement_decline": (
        (60, "Call to show what the portal does for them and confirm the contact is still the right one."),
        (25, "Send an account summary by mail with a link to the portal."),
    ),
    "price_increase": (
        (50, "Explain the price increase in person and offer a fixed price for a longer term."),
        (20, "Send the reasons for the price increase and the options to save."),
    ),
    "agreement_expiry": (
        (50, "Make a renewal offer now, before the agreement ends."),
        (20, "Put the renewal on the account manager's list for next month."),
    ),
}
NO_ACTION = "No action needed: serve as usual."
GENERAL_ACTION = "Have the account manager call: the risk comes from no single factor."


def risk_tier(probability: float) -> str:
    """The tier of a calibrated probability: low (< 5%), medium (< 15%), high (< 35%) or critical."""
    return next(name for name, end in TIERS if probability < end)


def reasons_of(contributions: pd.DataFrame, values: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """The three to five strongest reasons of every row, strongest first.

    Args:
        contributions: log-odds added by each feature (rows x features).
        values: the feature values of the same rows.

    Returns:
        Per row a list of ``{"feature", "value", "contribution", "direction", "text"}``: direction is "raises" or
        "lowers", contribution is in log-odds (0.69 doubles the odds), value is null where unknown.
    """
    matrix = contributions.to_numpy(dtype=float)
    names = list(contributions.columns)
    order = np.argsort(-np.abs(matrix), axis=1, kind="stable")[:, :MOST_REASONS]
    columns = {name: values[name].astype(object).to_numpy() for name in names}
    found = []
    for row, positions in enumerate(order):
        told = []
        for rank, position in enumerate(positions):
            share = float(matrix[row, position])
            if share == 0.0 or (rank >= FEWEST_REASONS and abs(share) < TELLING):
                break
            told.append(_reason(names[position], columns[names[position]][row], share))
        found.append(told)
    return found


def factor_contributions(contributions: pd.DataFrame) -> pd.DataFrame:
    """The log-odds each of the eight factors (columns by name) adds in each row, with the columns that tell of it.

    Args:
        contributions: log-odds added by each feature (rows x features); those that tell of no factor are left out.
    """
    import pandas as pd

    totals = {}
    for factor in FACTORS:
        told_by = {rule.column for rule in (*factor.rules, *factor.multipliers)} | {f"{factor.name}{FACTOR_SUFFIX}"}
        told_by |= _KINDRED.get(factor.name, frozenset())
        totals[factor.name] = contributions[[name for name in contributions.columns if name in told_by]].sum(axis=1)
    return pd.DataFrame(totals, index=contributions.index)


def suggested_action(tier: str, factors: dict[str, float], added: dict[str, float]) -> str:
    """What to do about a customer: the rule of the actionable factor that raises its probability most.

    Args:
        tier: of its probability.
        factors: the eight factors, 0-100 each, by name.
        added: the log-odds each of them adds, as `factor_contributions` has them. An action thus answers the reasons
            told beside it; the heaviest factor of the churn score need not be among them.
    """
    if tier == "low":
        return NO_ACTION
    raising = [factor for factor in FACTORS if added.get(factor.name, 0.0) > 0]
    for factor in sorted(raising, key=lambda factor: -added[factor.name]):
        score = factors.get(factor.name, 0.0)
        for threshold, action in ACTIONS[factor.name]:
            if score >= threshold:
                return action
    return GENERAL_ACTION


def _reason(feature: str, raw: Any, contribution: float) -> dict[str, Any]:
    value = _plain(raw)
    direction = "raises" if contribution > 0 else "lowers"
    title = TITLES.get(feature) or _FACTOR_TITLES.get(feature) or feature.replace("_", " ")
    shown = "unknown" if value is None else _shown(feature, value)
    return {
        "feature": feature,
        "value": value,
        "contribution": round(contribution, 4),
        "direction": direction,
        "text": f"{title[0].upper()}{title[1:]}: {shown} ({direction} the risk)",
    }


def _plain(raw: Any) -> Any:
    import pandas as pd

    if pd.isna(raw):
        return None
    if isinstance(raw, bool | np.bool_):
        return bool(raw)
    if isinstance(raw, int | float | np.number):
        number = float(raw)
        return round(number, 4) if np.isfinite(number) else None
    return str(raw)


def _shown(feature: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if feature in _FACTOR_TITLES:
        return f"{value:.0f} of 100"
    if feature.startswith("is_"):
        return "yes" if value else "no"
    if feature.endswith("_usd"):
        return f"${value:,.0f}"
    if feature.endswith("_ratio") or "_ratio_" in feature:
        return f"{value:+.0%}" if "change" in feature else f"{value:.0%}"
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.1f}"
