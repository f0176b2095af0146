// Stand-ins for Android: as much of android.graphics as the programs that ship use, with its signatures.
package android.graphics

import java.io.File
import javax.imageio.ImageIO

class Bitmap private constructor(val width: Int, val height: Int, internal val argb: IntArray) {
    enum class Config { ARGB_8888 }

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        for (row in 0 until height) argb.copyInto(
            pixels, offset + row * stride, (y + row) * this.width + x, (y + row) * this.width + x + width,
        )
    }

    companion object {
        @Suppress("UNUSED_PARAMETER")
        @JvmStatic
        fun createBitmap(width: Int, height: Int, config: Config) = Bitmap(width, height, IntArray(width * height))

        @Suppress("UNUSED_PARAMETER")
        @JvmStatic
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap {
            require(colors.size >= width * height)
            return Bitmap(width, height, colors.copyOf())
        }

        /** In the place of ImageDecoder. */
        fun of(file: File): Bitmap = ImageIO.read(file).run {
            Bitmap(width, height, getRGB(0, 0, width, height, null, 0, width))
        }
    }
}

object Color {
    const val WHITE = -1

    @JvmStatic
    fun rgb(red: Int, green: Int, blue: Int) = 0xff shl 24 or (red shl 16) or (green shl 8) or blue
}

class RectF(@JvmField var left: Float, @JvmField var top: Float, @JvmField var right: Float, @JvmField var bottom: Float) {
    fun width() = right - left

    fun height() = bottom - top

    fun set(left: Float, top: Float, right: Float, bottom: Float) {
        this.left = left
        this.top = top
        this.right = right
        this.bottom = bottom
    }
}

class Paint {
    enum class Style { FILL, STROKE }

    var style = Style.FILL
    var strokeWidth = 0f
    var color = 0
}

/** Draws no wider than a pixel, and nothing that is scaled. */
class Canvas(private val on: Bitmap) {
    fun drawColor(color: Int) = on.argb.fill(color)

    fun drawRect(rect: RectF, paint: Paint) {
        require(paint.style == Paint.Style.STROKE)
        val (xs, ys) = rect.left.toInt()..rect.right.toInt() to rect.top.toInt()..rect.bottom.toInt()
        for (y in ys) for (x in xs) {
            val rim = x == xs.first || x == xs.last || y == ys.first || y == ys.last
            if (rim && x < on.width && y < on.height) on.argb[y * on.width + x] = paint.color
        }
    }

    @Suppress("UNUSED_PARAMETER")
    fun drawBitmap(bitmap: Bitmap, left: Float, top: Float, paint: Paint?) {
        require(left == 0f && top == 0f && bitmap.width == on.width && bitmap.height == on.height)
        bitmap.argb.copyInto(on.argb)
    }
}
