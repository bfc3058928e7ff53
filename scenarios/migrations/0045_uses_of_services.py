from django.db import migrations

AT_ONCE = 500


def note_uses(apps, _schema_editor):
    """Whether the stored scenarios act on the services that they name, or only look at them."""
    from scenarios.library.named_services import find_uses_in_source

    NamedService = apps.get_model("scenarios", "NamedService")
    stored = apps.get_model("scenarios", "Scenario").objects.order_by("pk").values_list("pk", "document")
    for key, source in stored.iterator(chunk_size=AT_ONCE):
        probed = [name for name, is_touched in find_uses_in_source(source).items() if not is_touched]
        if probed:
            NamedService.objects.filter(scenario_id=key, service__in=probed).update(is_touched=False)


class Migration(migrations.Migration):
    # Of its own: PostgreSQL changes no table in a transaction that has written rows to it.
    dependencies = [("scenarios", "0044_allow_lists")]

    operations = [migrations.RunPython(note_uses, migrations.RunPython.noop)]
