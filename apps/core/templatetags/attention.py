"""What needs a person, for templates of the admin."""

from typing import Any

from django import template

from apps.core.backoffice.attention import attention_for

register = template.Library()


@register.inclusion_tag("core/attention.html", takes_context=True)
def attention(context: dict[str, Any]) -> dict[str, Any]:
    """The list of what needs a person, each a link to the rows; nothing where there is nothing."""
    return {"items": attention_for(context["request"])}
