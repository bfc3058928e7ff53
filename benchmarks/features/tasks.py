from django_tasks import task


@task()
def do_nothing() -> None:
    pass
