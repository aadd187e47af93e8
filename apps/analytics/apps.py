from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "apps.analytics"
    label = "analytics"

    def ready(self) -> None:
        from django.contrib import admin

        from apps.users import personal_data
        from apps.vouchers import owned_counts
        from apps.vouchers.services import reassignment

        from .selectors import owned_vouchers
        from .services import daily_figures

        # By name, because a template of ours called admin/index.html would stand behind unfold's.
        admin.site.index_template = "analytics/front_page.html"
        reassignment.register(daily_figures.forget_owners)
        owned_counts.register(owned_vouchers.kept_number)
        personal_data.register_erasure(daily_figures.note_erased_sign_in)
