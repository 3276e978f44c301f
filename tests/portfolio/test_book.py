"""What a strategy may see of its book is what `BookView` promises."""

from __future__ import annotations

import inspect

from voldesk.core.orders import OrderType, PlaceOrder, TimeInForce
from voldesk.portfolio.book import Book
from voldesk.portfolio.working_orders import WorkingOrders
from voldesk.strategies.protocol import BookView


def test_a_book_has_every_member_of_the_view_with_the_same_parameters() -> None:
    wanted = {name: item for name, item in vars(BookView).items() if inspect.isfunction(item) and name[0] != "_"}
    assert {"lots", "working_lots", "positions", "has_working_orders", "net_delta", "equity"} <= set(wanted)
    for name, promised in wanted.items():
        ours = inspect.signature(getattr(Book, name))
        assert list(ours.parameters) == list(inspect.signature(promised).parameters), name
    view: BookView = Book("a", "BTC")
    assert view.name == "a"


def test_working_lots_come_from_the_working_orders() -> None:
    orders = WorkingOrders()
    book = Book("a", "BTC", working=orders)
    assert (book.working_lots(3), book.has_working_orders()) == (0, False)
    orders.place(PlaceOrder(1, 0, 1, "a", 3, -7, OrderType.LIMIT, 10, TimeInForce.GTC, False))
    assert (book.working_lots(3), book.has_working_orders()) == (-7, True)
    assert Book("b", "BTC", working=orders).working_lots(3) == 0


def test_a_book_without_orders_or_deposits_is_empty() -> None:
    book = Book("a", "USD")
    assert (book.lots(1), book.positions(), book.equity(), book.has_working_orders()) == (0, {}, 0.0, False)
    assert book.held().shape == (0, 2)
