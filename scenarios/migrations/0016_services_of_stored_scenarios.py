from django.db import migrations

AT_ONCE = 500


def note_services(apps, _schema_editor):
    """What is found when a scenario is written, for those that were written before."""
    from scenarios.library.named_services import find_services_in_source

    NamedService = apps.get_model("scenarios", "NamedService")
    stored = apps.get_model("scenarios", "Scenario").objects.order_by("pk").values_list("pk", "name", "document")
    rows = (
        NamedService(scenario_id=key, scenario_name=scenario, service=name)
        for key, scenario, source in stored.iterator(chunk_size=AT_ONCE)
        for name in sorted(find_services_in_source(source))
    )
    NamedService.objects.bulk_create(rows, batch_size=AT_ONCE)


class Migration(migrations.Migration):
    # Of its own: PostgreSQL changes no table in a transaction that has written rows to it.
    dependencies = [("scenarios", "0015_named_services")]

    operations = [migrations.RunPython(note_services, migrations.RunPython.noop)]
