"""What needs a person, for templates of the admin."""

from typing import Any

from django import template

from apps.core.backoffice.attention import attention_for

register = template.Library()


@register.inclusion_tag("core/attention.html", takes_context=True)
def attention(context: dict[str, Any]) -> dict[str, Any]:
    """The lists of what needs a person, and of what is good to know, each a link to the rows."""
    items = attention_for(context["request"])
    waiting = [each for each in items if not each.item.informs]
    notices = [each for each in items if each.item.informs]
    return {"groups": [("Needs a person", waiting), ("Coming up", notices)]}
